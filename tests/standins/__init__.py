"""onnxruntime-gpu without a GPU: stand-ins for the libraries of CUDA, and tests with them."""
