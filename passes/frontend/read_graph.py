"""Reads the graph of a model whose one image is float32, of one image and one size.

After: no shape but the image's is recorded, so that all are inferred anew.
"""

from __future__ import annotations

import onnx_ir as ir

from krypton_compile.contract.layouts import full_layout
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.interface import find_image


def read_graph(source: SourceModel) -> ir.Model:
    """Read the model's graph.

    Raises:
        ModelError: if no input can be the image.
    """
    model = ir.from_proto(source.proto)
    image = find_image(model.graph, source.input_name)
    model.meta["layout"] = None if source.layout is None else full_layout(source.layout)
    for node in model.graph:
        for value in node.outputs:
            if value not in model.graph.outputs:
                value.shape = None
    for value in model.graph.outputs:
        if value is not image:
            value.shape = None
    return model
