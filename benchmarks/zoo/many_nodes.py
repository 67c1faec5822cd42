"""``python -m benchmarks.zoo.many_nodes``: what compilation takes, by the number of nodes.

Chains of residual blocks (Conv, Relu, Add, Mul) as long as asked for, which no classifier is. Prints CPU seconds of the
compiler alone and with the verification, and how many of them onnxruntime takes to open the compiled file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.lib.naive import cpu_description
from krypton_compile import OcclusionSession, compile

_CHANNELS, _SIZE = 4, 16


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nodes", type=int, nargs="*", default=[500, 1000, 2000, 4000, 8000, 16000])
    options = parser.parse_args()
    print(cpu_description())
    print("| nodes | compiled, s | verified as well, s | opened, s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        source, compiled = Path(work) / "model.onnx", Path(work) / "model.krypton.onnx"
        for count in options.nodes:
            onnx.save(make_chain(count), source)
            taken = [
                _seconds(lambda: compile(source, compiled, verify=False)),
                _seconds(lambda: compile(source, compiled)),
                _seconds(lambda: OcclusionSession(compiled, threads=1)),
            ]
            print(f"| {count:,} | {' | '.join(f'{seconds:.1f}' for seconds in taken)} |", flush=True)
    return 0


def make_chain(count: int) -> onnx.ModelProto:
    """A classifier of some ``count`` nodes: blocks m = s (relu(conv(x)) + x), with s = 0.7."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(np.full((1, _CHANNELS, 1, 1), 0.7, np.float32), "s")]
    nodes, last = [], "x"
    for number in range((count - 2) // 4):
        entering = 3 if number == 0 else _CHANNELS
        filters = 0.15 * rng.standard_normal((_CHANNELS, entering, 3, 3))
        weights.append(numpy_helper.from_array(filters.astype(np.float32), f"w{number}"))
        conv, relu, total, scaled = (f"{stem}{number}" for stem in ("conv", "relu", "add", "mul"))
        nodes += [
            helper.make_node("Conv", [last, f"w{number}"], [conv], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [conv], [relu]),
            helper.make_node("Add", [relu, conv if number == 0 else last], [total]),
            helper.make_node("Mul", [total, "s"], [scaled]),
        ]
        last = scaled
    nodes += [helper.make_node("GlobalAveragePool", [last], ["pooled"]), helper.make_node("Flatten", ["pooled"], ["y"])]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, _SIZE, _SIZE])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, _CHANNELS])
    graph = helper.make_graph(nodes, "chain", [image], [scores], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    raise SystemExit(main())
