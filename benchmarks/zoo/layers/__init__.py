"""Which layers stay incremental: ``python -m benchmarks.zoo.layers``.

torch_layers.py, torch_idioms.py, keras_layers.py, paddle_layers.py    each layer alone between two convolutions
those          --export_files.py-->    ONNX files and a list of them, by each exporter; needs that framework
the list       --check_files.py-->     share incremental, exact or not, why not; needs this package alone
JSON records   --layers_table.py-->    docs/models.md, between two marks
"""
