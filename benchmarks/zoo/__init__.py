"""Many architectures compiled, checked and measured: ``python -m benchmarks.zoo``.

entries.py   --build.py-->    a torch network, random weights that keep signal (models/zoo)
the network  --export.py-->   an ONNX file in the cache, its batch size free
the file     --check.py-->    exact or not, shares, redundancy, what is dense and why
             --measure.py-->  the speed-up over naive onnxruntime, in pairs
JSON files   --table.py-->    docs/models.md
"""
