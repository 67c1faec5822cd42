"""The compiler: an ONNX classifier in, a model with incremental ops and its report out."""
