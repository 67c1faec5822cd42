"""Engine: a compiled file as two onnxruntime sessions, and the scores of boxes by them."""
