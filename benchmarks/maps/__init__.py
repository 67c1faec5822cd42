"""Benchmarks of whole maps: against naive onnxruntime, other tools, and approximate maps."""
