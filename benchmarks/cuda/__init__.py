"""The kernels of the GPU without onnxruntime: checked against the reference, measured against cuDNN."""
