"""onnxruntime: its errors as ours, sessions of plain models, and where the library of our ops is."""
