"""Which of onnxruntime's own ops its CUDA provider has no kernel for, at each opset: those run on the CPU.

    python -m tests.standins.kernels          the last step of scripts/check_placement.sh

A kernel is for the versions of an op that it was registered with: a newer version has none until somebody adds it, even
where nothing changed that matters.
"""

from __future__ import annotations

import re

import onnx
import onnx.parser
import onnxruntime as ort

from krypton_compile.runtime.engine.providers import CPU, CUDA, place
from krypton_compile.stages import one_line

OPSETS = range(13, 25)
INPUTS = (
    "float[1,8,16,16] x, float[1,8,16,16] y, float[8,8,3,3] w, float[8] v, float[16] v16, float[16,5] m, float s, "
    "float[4] f4, float[1,1,1,1] f1, float[1,4,4,2] grid, bool[1,8,16,16] b, int64[1] i, int64[2] i2, int64[4] i4, "
    "int64[8] i8, int64[1,1,1,1] at"
)
NODES = """
Conv<pads=[1,1,1,1]>(x, w, v)|ConvTranspose(x, w)|MaxPool<kernel_shape=[3,3]>(x)|AveragePool<kernel_shape=[3,3]>(x)
LpPool<kernel_shape=[3,3]>(x)|GlobalAveragePool(x)|GlobalMaxPool(x)|GlobalLpPool(x)|BatchNormalization(x, v, v, v, v)
Relu(x)|Add(x, y)|Sub(x, y)|Mul(x, y)|Div(x, y)|Max(x, y)|Min(x, y)|Sum(x, y)|Pow(x, s)|Concat<axis=1>(x, y)
Reshape(x, i4)|Flatten(x)|Transpose(x)|Pad(x, i8)|Gemm<transB=1>(m, m)|MatMul(x, m)|Softmax(x)|LogSoftmax(x)
ReduceMean(x)|ReduceSum(x)|ReduceMax(x)|ReduceMin(x)|ReduceL2(x)|LayerNormalization(x, v16)|RMSNormalization(x, v16)
InstanceNormalization(x, v, v)|GroupNormalization<num_groups=8>(x, v, v)|HardSwish(x)|HardSigmoid(x)|Sigmoid(x)
Clip(x, s, s)|Resize<mode="nearest">(x, , f4)|Resize<mode="linear">(x, , f4)|Resize<mode="cubic">(x, , f4)
Split<axis=1>(x, i2)|Slice(x, i, i, i)|Squeeze(x, i)|Unsqueeze(x, i)|Cast<to=10>(x)|Identity(x)|Dropout(x)|Gelu(x)
PRelu(x, s)|Elu(x)|Celu(x)|Selu(x)|LeakyRelu(x)|ThresholdedRelu(x)|Mish(x)|Swish(x)|Erf(x)|Tanh(x)|Softplus(x)
Softsign(x)|LRN<size=5>(x)|Where(b, x, y)|Equal(x, y)|Greater(x, y)|Not(b)|Sqrt(x)|Exp(x)|Log(x)|Neg(x)|Abs(x)
Reciprocal(x)|Floor(x)|Sign(x)|Shape(x)|ConstantOfShape(i2)|Gather(x, i)|GatherElements(x, at)|Expand(x, i4)
Tile(x, i4)|ScatterND(x, at, x)|ScatterElements(x, at, f1)|DepthToSpace<blocksize=2>(x)|ArgMax(x)|GridSample(x, grid)
"""


def place_of(node: str, opset: int) -> str:
    """The provider that a node is given, and what of its function stays on the CPU; "" where there is no such op."""
    op = re.split(r"[(<]", node)[0]
    try:
        onnx.defs.get_schema(op, opset)
    except onnx.defs.SchemaError:
        return ""
    outputs = "o, p" if op == "Split" else "o"
    text = f'<ir_version: 10, opset_import: ["" : {opset}]> one ({INPUTS})'
    model = onnx.parser.parse_model(f"{text} => (float o) {{ {outputs} = {node} }}")
    del model.graph.output[:]
    model.graph.output.add(name="o")
    used = set(model.graph.node[0].input)
    inputs = [value for value in model.graph.input if value.name in used]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, [CUDA, CPU], enable_fallback=False)
    except Exception as error:  # onnxruntime raises exceptions of its own making, without a common base
        return f"refused ({one_line(error)[-70:]})"
    parts = session.get_provider_graph_assignment_info()
    on_cpu = sorted({each.op_type for part in parts if part.ep_name == CPU for each in part.get_nodes()})
    return "CUDA" if not on_cpu else "CPU" if on_cpu == [op] else f"CPU ({', '.join(on_cpu)} of its function)"


def main() -> None:
    """Prints a line for each node that is not always on the device."""
    ort.set_default_logger_severity(4)
    place([CUDA])
    for node in NODES.replace("\n", "|").strip("|").split("|"):
        found = {opset: place_of(node, opset) for opset in OPSETS}
        for where in sorted(set(found.values()) - {"", "CUDA"}):
            at = ", ".join(str(opset) for opset in OPSETS if found[opset] == where)
            print(f"{node:42} {where} at {at}", flush=True)


if __name__ == "__main__":
    main()
