"""Find where a delta does not carry enough digits, so that T' itself must be computed.

T0 + D is T' rounded at T0's size. What is left of T' below that is lost: a guard (``x / (s + 1e-8)``
where s vanishes inside the window), the tail of a square, the variance of a nearly constant patch.
An op that divides by it, takes its logarithm or root, or asks which of two numbers is larger, gives
another result then. This pass over the base graph finds, once and before anything is lowered,

* the ops that read such a number (the *roots*), unless a lower bound of it is known;
* the ops of single pixels between them and the convolution or pool before, which are computed on T'
  itself (:class:`~krypton_compile.passes.lower.forms.Rows`);
* the reductions over the whole picture between them, which are computed of whole maps;
* the tensors at which T' begins: they are read as the baseline's own where that is known (baseline.py);
* all tensors behind these: a dense region begins at some of them.
* the convolutions and pools behind these whose zeros must stay zeros (zeros.py, quiet.py).
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from krypton_compile.passes.bounds import LowerBounds, begins_at_zero
from krypton_compile.passes.lower.context import array_of, input_of
from krypton_compile.passes.lower.dense_batch_axis import POINTWISE
from krypton_compile.passes.lower.dense_per_position import reads
from krypton_compile.passes.lower.values.conditioning import Conditioning
from krypton_compile.passes.lower.values.value_conv import is_depthwise
from krypton_compile.passes.lower.values.zeros import find_quiet

GUARD = 0.1
"""A number that never falls below this keeps its digits: 0.1 of a base of 1 has six of them."""

_NORMS = frozenset(
    "GroupNormalization InstanceNormalization LayerNormalization LpNormalization MeanVarianceNormalization "
    "RMSNormalization SimplifiedLayerNormalization".split()
)
_POLES = frozenset("Acos Acosh Asin Atanh Log Reciprocal Sqrt".split())
_STEPS = frozenset(
    "ArgMax ArgMin Ceil Equal Floor Greater GreaterOrEqual Hardmax Less LessOrEqual Mod Round Shrink Sign".split()
)
_REDUCTIONS = frozenset(
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare".split()
)
_POOLS = frozenset(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"))
_CURVED = frozenset("Abs Div Exp Log Max Min Mul Pow Reciprocal Sqrt".split()) | _REDUCTIONS
_THROUGH = (
    frozenset("And Cast Ceil Clip Expand Floor Identity Neg Not Or Round Sub Where Xor".split())
    | _CURVED
    | _NORMS
    | _STEPS
)
_AFTER_RESIDUALS = frozenset(("Add", "Conv", "Div", "LayerNormalization", "MatMul", "Mul", "RMSNormalization"))
"""What may read a sum of branches so that the smaller one counts: a norm, what its exporter writes for one, the
depthwise convolution or the product with a matrix before it, sums."""
_LINEAR = frozenset("Concat Conv Gather MatMul Slice Split".split())
_MOVES = frozenset("Dropout Flatten Reshape Squeeze Transpose Unsqueeze".split())


def find_ill_conditioned(nodes: Iterable[ir.Node], image: ir.Value, everywhere: bool = False) -> Conditioning:
    """Find what a base graph must compute on T' itself.

    Args:
        nodes: all of the graph's, in order.
        image: its input.
        everywhere: whether linear layers are passed as well, so that T' is followed back as far as ops know it. A
            delta has the digits of a branch, unless the branch itself vanishes: untrained networks have such.
    """
    return _Search(list(nodes), image, everywhere).run()


class _Search:
    def __init__(self, nodes: list[ir.Node], image: ir.Value, everywhere: bool) -> None:
        self._nodes, self._image, self._bounds = nodes, image, LowerBounds()
        self._moves, self._everywhere = {image}, everywhere
        for node in nodes:
            if any(value in self._moves for value in reads(node)):
                self._moves.update(node.outputs)
        self._roots: set[ir.Node] = set()
        self._curved = _curved(nodes, self._moves)
        self._rows: set[ir.Node] = set()
        self._whole: set[ir.Node] = set()
        self._read: set[ir.Value] = set()
        self._seen: set[tuple[ir.Value, bool]] = set()

    def run(self) -> Conditioning:
        for node in self._nodes:
            roots = [value for value in self._ill_conditioned(node) if value in self._moves]
            if roots:
                self._rows.add(node)
                self._roots.add(node)
            self._follow(node, roots)
        ends = [value for value in self._read if value.producer() not in self._rows]
        quiet, products = find_quiet(ends, self._rows, self._moves, self._image)
        rows = frozenset(self._rows) | products
        return Conditioning(rows, frozenset(self._whole), frozenset(self._read), self._behind(), quiet)

    def _behind(self) -> frozenset[ir.Value]:
        """All moving values that something read exactly depends on."""
        found = set(self._read)
        for node in reversed(self._nodes):
            if any(output in found for output in node.outputs):
                found.update(value for value in reads(node) if value in self._moves)
        return frozenset(found)

    def _ill_conditioned(self, node: ir.Node) -> list[ir.Value]:
        """The inputs of a root; none of any other node."""
        op, inputs = node.op_type, [value for value in node.inputs if value is not None]
        if op in _NORMS or op in _STEPS or _chooses(node):
            return inputs
        if op == "BatchNormalization" and (node.attributes.get_int("training_mode", 0) != 0 or self._measures(inputs)):
            return inputs
        if op in _POLES:
            return inputs if self._near_zero(inputs[0]) else []
        if op == "Div":
            return inputs if inputs[1] in self._moves and self._near_zero(inputs[1]) else []
        if op == "Mul":
            return inputs if any(self._is_pole(value) for value in inputs) else []
        if op == "Pow":
            return inputs if not _is_smooth(node) and self._near_zero(inputs[0]) else []
        return []

    def _measures(self, inputs: list[ir.Value]) -> bool:
        """Whether the statistics of a batch normalization are those of the image: PyTorch exports such of a batch."""
        return any(value in self._moves for value in inputs[3:5])

    def _is_pole(self, value: ir.Value) -> bool:
        """Whether a factor is one over something that may come near zero."""
        node = value.producer() if value in self._moves else None
        while node is not None and node.op_type in ("Cast", "Expand", "Identity", "Transpose", "Unsqueeze"):
            node = None if node.inputs[0] is None else node.inputs[0].producer()
        if node is None or node.inputs[0] is None or not self._near_zero(node.inputs[0]):
            return False
        return node.op_type == "Reciprocal" or (node.op_type == "Pow" and _is_negative(input_of(node, 1)))

    def _near_zero(self, value: ir.Value) -> bool:
        return self._bounds.of(value) < GUARD

    def _follow(self, root: ir.Node, values: list[ir.Value]) -> None:
        """Go back from the values that a root reads to where their T' can be read."""
        pending = [(value, root) for value in values]
        while pending:
            value, reader = pending.pop()
            residual = self._may_read_sum(reader, root)
            if value not in self._moves or (value, residual) in self._seen:
                continue
            self._seen.add((value, residual))
            self._read.add(value)
            node = value.producer()
            if node is None or not self._passes(node, residual):
                continue
            if node.op_type not in _MOVES or node.op_type == "Transpose":
                self._rows.add(node)
            if node.op_type in _REDUCTIONS | _POOLS or _pools_all(node):
                self._whole.add(node)
            # What lies between a norm and the sum before it does not matter to the sum.
            passing = reader if residual and (node.op_type in _MOVES or self._adds_constant(node)) else node
            pending.extend((each, passing) for each in node.inputs if each is not None)

    def _may_read_sum(self, reader: ir.Node, root: ir.Node) -> bool:
        """Whether a node reads a sum of branches so that the smaller one counts."""
        if reader.op_type in ("Div", "Mul"):
            return reader is root
        return reader.op_type in _AFTER_RESIDUALS and not self._adds_constant(reader)

    def _adds_constant(self, node: ir.Node) -> bool:
        return node.op_type == "Add" and sum(value in self._moves for value in node.inputs) == 1

    def _passes(self, node: ir.Node, residual: bool) -> bool:
        """Whether a node's T' must be computed on T' of its inputs."""
        op, moving = node.op_type, [value for value in node.inputs if value in self._moves]
        if op in _MOVES or op in _POOLS or _pools_all(node) or (self._everywhere and op in _LINEAR | POINTWISE):
            return True
        if op == "Clip":
            return not begins_at_zero(node)
        if op == "Conv":  # behind a sum of branches of very different sizes, whose small one the delta loses
            return residual and (self._follows_norm(node) or (is_depthwise(node) and self._follows_sum(node)))
        if op == "MatMul":  # of tokens: a row of a small sum is small, until a norm divides by it
            return residual and len(moving) == 1 and not self._is_map(node.outputs[0])
        if op == "Add":  # of two branches: each of their deltas is as exact as the sum, but for a norm
            return residual or len(moving) == 1 or all(value in self._curved for value in moving)
        if residual and op in ("Mul", "Div") and len(moving) == 1 and not self._follows_norm(node):
            return False  # a branch, scaled: its delta has digits of its own
        return op in _THROUGH

    def _is_map(self, value: ir.Value) -> bool:
        """Whether it has the image's axes; the pixels of others are dense."""
        shape, image = value.shape, self._image.shape
        return shape is not None and image is not None and len(shape) == len(image)

    def _follows_sum(self, node: ir.Node) -> bool:
        """Whether a convolution reads the sum of two branches."""
        maker = self._maker(node)
        return maker is not None and maker.op_type == "Add" and all(each in self._moves for each in maker.inputs)

    def _follows_norm(self, node: ir.Node) -> bool:
        """Whether a node reads a norm, or what exporters write for one and its scales."""
        maker = self._maker(node)
        while maker is not None and (self._adds_constant(maker) or self._scales(maker)) and maker not in self._roots:
            maker = self._maker(maker)
        return maker is not None and (
            maker.op_type in _NORMS or (maker in self._roots and maker.op_type in ("Div", "Mul"))
        )

    def _scales(self, node: ir.Node) -> bool:
        return node.op_type in ("Div", "Mul") and sum(value in self._moves for value in node.inputs) == 1

    def _maker(self, node: ir.Node) -> ir.Node | None:
        """The node that makes what another one reads, but for its layout."""
        maker: ir.Node | None = node
        while maker is not None and (maker is node or maker.op_type in ("Transpose", "Identity")):
            maker = next(
                (value.producer() for value in maker.inputs if value is not None and value in self._moves), None
            )
        return maker


def _curved(nodes: Iterable[ir.Node], moves: set[ir.Value]) -> set[ir.Value]:
    """What curved functions of the image make, and sums of nothing else; ``nodes`` are in order."""
    curved: set[ir.Value] = set()
    for node in nodes:
        if node.op_type == "Add":
            fits = all(each in curved for each in node.inputs)
        else:
            several = sum(each in moves for each in node.inputs) > 1
            fits = node.op_type in _CURVED and (several or node.op_type not in ("Mul", "Div", "Max", "Min"))
        if fits:
            curved.update(node.outputs)
    return curved


def _chooses(node: ir.Node) -> bool:
    """Whether it says which of several numbers is largest: where they are equal, the last digit chooses."""
    return node.op_type in ("MaxPool", "TopK") and any(output.uses() for output in node.outputs[1:])


def _is_smooth(node: ir.Node) -> bool:
    """Whether a power has no pole and no steep place at zero: its exponents are constants of at least 1."""
    exponents = array_of(input_of(node, 1))
    return exponents is not None and float(exponents.min()) >= 1


def _is_negative(exponent: ir.Value | None) -> bool:
    exponents = array_of(exponent)
    return exponents is None or float(exponents.min()) < 0


def _pools_all(node: ir.Node) -> bool:
    """Whether an AveragePool has one window, the whole map."""
    shape = node.outputs[0].shape
    return node.op_type == "AveragePool" and shape is not None and all(dim == 1 for dim in list(shape)[2:])
