"""Frontend: from any ONNX model to one of a single float32 image, its nodes and shapes checked."""
