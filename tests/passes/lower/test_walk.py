"""The walk over the rules: a refused rule leaves no trace, every reason is told, nothing is asked twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from krypton_compile import compile
from krypton_compile.passes.lower.context import LoweringContext, Target
from krypton_compile.passes.lower.forms import Dense, Flat, Form
from krypton_compile.passes.lower.journal import Journal
from krypton_compile.passes.lower.refused import Refused
from krypton_compile.passes.lower.rules import axis_table
from krypton_compile.passes.lower.table import RULES, Rule
from tests.support.graphs import became, compile_and_check, floats, ints, parse, reasons

STEM = "c = Conv<pads=[1,1,1,1]>(x, w0) r = Relu(c)"
HEAD = "g = GlobalAveragePool(h) f = Flatten(g) y = Gemm<transB=1>(f, fw)"
WEIGHTS = {"w0": (8, 3, 3, 3), "fw": (5, 8)}

NETWORKS = {
    "branches": (
        f"""{STEM} d = Conv<pads=[1,1,1,1]>(r, w1) a = Add(d, r) m = MaxPool<kernel_shape=[2,2]>(a)
        u, v = Split<axis=1>(m, z) h = Concat<axis=1>(v, u) {HEAD}""",
        {**WEIGHTS, "w1": (8, 8, 3, 3), "z": ints(3, 5)},
    ),
    "a product behind a Flatten": (
        f"{STEM} f = Flatten(r) y = Gemm<transB=1>(f, fw, fb)",
        {**WEIGHTS, "fw": (5, 8 * 17 * 19), "fb": (5,)},
    ),
    "a product that is the output": (
        f"{STEM} f = Flatten(r) y = MatMul(f, fw)",
        {**WEIGHTS, "fw": (8 * 17 * 19, 5)},
    ),
    "gates": (
        f"{STEM} e = GlobalAveragePool(r) s = Conv(e, w1) u = Sigmoid(s) h = Mul(r, u) {HEAD}",
        {**WEIGHTS, "w1": (8, 8, 1, 1)},
    ),
    "pixels that move": (
        f"""{STEM} p = Pad<mode="reflect">(r, p0) q = ConvTranspose<strides=[2,2]>(p, w1) k = PRelu(q, s)
        h = Resize<mode="linear">(k, , z) {HEAD}""",
        {
            **WEIGHTS,
            "p0": ints(0, 0, 1, 2, 0, 0, 1, 0),
            "w1": (8, 8, 2, 2),
            "s": (8, 1, 1),
            "z": floats(1, 1, 0.5, 0.6),
        },
    ),
}


def then_refuse(lower: Callable[[ir.Node, LoweringContext], Form]) -> Callable[[ir.Node, LoweringContext], Form]:
    """A rule that emits all that ``lower`` does, and then refuses."""

    def refuse(node: ir.Node, context: LoweringContext) -> Form:
        form = lower(node, context)
        for output in node.outputs:
            context.forms[output] = form
        raise Refused("it was only tried")

    return refuse


@pytest.mark.parametrize("frozen_gates", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_refused_rule_emitted_leaves_no_trace(name: str, frozen_gates: bool, monkeypatch) -> None:
    """The file is the same, byte for byte, where every rule emits and refuses once before it holds."""
    body, weights = NETWORKS[name]
    expected = compile(parse(body, **weights), verify=False, frozen_gates=frozen_gates)[0].SerializeToString()
    for op, rules in RULES.items():
        tried = [(Rule(then_refuse(rule.lower), rule.axes), rule) for rule in rules]
        # Only the first rule is tried where an input is dense, as a gate's is: there the one that holds must be it.
        kept = tuple(rule for pair in tried for rule in pair)
        monkeypatch.setitem(RULES, op, rules if op == "Mul" and name == "gates" else kept)
    found = compile(parse(body, **weights), verify=False, frozen_gates=frozen_gates)[0].SerializeToString()
    assert found == expected


def context_of(body: str, **weights) -> tuple[LoweringContext, ir.Graph]:
    model = ir.from_proto(parse(body, image="float[1,3,17,19] x", **weights))
    return LoweringContext(model.graph, Target(frozen_gates=True)), model.graph


def state(context: LoweringContext, graph: ir.Graph) -> tuple:
    """All that emitting changes."""
    emitter = context.emitter
    values = [*graph.inputs, *graph.initializers.values(), *(value for node in graph for value in node.outputs)]
    return (
        [(node.name, tuple(node.inputs), tuple(node.outputs)) for node in graph],
        list(graph.initializers.items()),
        list(graph.outputs),
        [(value, value.name, tuple(value.uses())) for value in values],
        list(emitter.body),
        sorted(emitter._names),
        dict(emitter.base_maps),
        dict(emitter.replaced),
        dict(context.forms),
        list(context.frozen),
    )


def test_a_transaction_takes_back_every_kind_of_step() -> None:
    context, graph = context_of("f = Flatten(x) y = MatMul(f, w)", w=(3 * 17 * 19, 5))
    emitter, image = context.emitter, graph.inputs[0]
    product = list(graph)[-1]
    context.forms[image] = Dense(image)
    before = state(context, graph)

    def emit_and_refuse() -> None:
        constant = emitter.initializer("x", np.zeros(1, np.float32))
        view = emitter.base_map(image, "NCHW")
        values = emitter.emit("IncrementalScale", [view, constant], {}, "x")
        emitter.emit("Split", [values], {}, "x", "y", domain="")
        new = emitter.emit_base("Identity", [product.outputs[0]], {}, "y", domain="")
        emitter.replace_base(product, new)
        emitter.emit("Identity", [new], {}, "z", domain="")
        context.forms[image] = Dense(new)
        context.forms[new] = Dense(values)
        context.freeze(product)
        raise Refused("enough")

    with pytest.raises(Refused, match="enough"), context.transaction():
        emit_and_refuse()
    assert state(context, graph) == before
    assert emitter.emit("Identity", [image], {}, "z", domain="").name == "z", "names are free again"


def test_a_transaction_that_holds_keeps_all() -> None:
    context, graph = context_of("f = Flatten(x) y = MatMul(f, w)", w=(3 * 17 * 19, 5))
    with context.transaction():
        kept = context.emitter.emit("Identity", [graph.inputs[0]], {}, "kept", domain="")

    def emit_and_refuse() -> None:
        context.emitter.emit("Identity", [kept], {}, "gone", domain="")
        raise Refused("the second one")

    with pytest.raises(Refused), context.transaction():
        emit_and_refuse()
    assert [node.name for node in context.emitter.body] == ["kept"]
    assert not kept.uses()


def test_transactions_may_be_nested() -> None:
    journal, done = Journal(), list[str]()

    def step(name: str) -> None:
        done.append(name)
        journal.note(lambda: done.remove(name))

    def refused_inside() -> None:
        with journal.transaction():
            step("inner")
            raise Refused("inner")

    def refused_after() -> None:
        with journal.transaction():
            step("inner")
        raise Refused("outer")

    step("before")
    with journal.transaction():
        step("outer")
        with pytest.raises(Refused, match="inner"):
            refused_inside()
        assert done == ["before", "outer"]
    with pytest.raises(Refused, match="outer"), journal.transaction():
        refused_after()
    assert done == ["before", "outer"]


BOTH = {
    "Pad": (
        'q = Pad<mode="edge">(r, p) h = Slice(q, s, e, a)',
        {"p": ints(0, 1, 0, 0, 0, 0, 0, 0), "s": ints(0), "e": ints(8), "a": ints(1)},
        ["its mode 'edge' pads with pixels of the map", "it pads batch or channels"],
    ),
    "Max": (
        "q = AveragePool<kernel_shape=[17,1]>(r) h = Max(r, q)",
        {},
        ["both of its operands depend on the image", "its two maps differ in size or layout"],
    ),
    "Slice": (
        "q = Slice(r, s, e, a) h = Concat<axis=1>(q, q)",
        {"s": ints(0, 0), "e": ints(4, 9), "a": ints(1, 2)},
        ["it does not choose among channels alone", "it changes the channels or the batch"],
    ),
    "ReduceMax": (
        "q = ReduceMax<axes=[2]>(r) h = Mul(q, r)",
        {},
        ["it does not reduce the spatial axes [2, 3] alone", "it reduces axes [2], for which ReduceMax has no rule"],
    ),
}
"""Ops of two rules, both of which refuse the node: their reasons."""


@pytest.mark.parametrize("op", BOTH)
def test_the_reasons_of_all_rules_are_told(op: str) -> None:
    middle, weights, expected = BOTH[op]
    report = compile_and_check(parse(f"{STEM} {middle} {HEAD}", **WEIGHTS, **weights))
    assert "; ".join(expected) in reasons(report, op)


def test_a_reason_that_two_rules_give_is_told_once() -> None:
    report = compile_and_check(parse(f"{STEM} q = GlobalLpPool(r) h = Sub(r, q) {HEAD}", **WEIGHTS))
    assert reasons(report, "Sub") == "one of its inputs is dense"


def test_a_gate_is_the_reason_why_a_product_is_dense() -> None:
    body, weights = NETWORKS["gates"]
    report = compile(parse(body, **weights), verify=False)[1]
    assert reasons(report, "Mul") == "its gate depends on the whole image (--frozen-gates: approximate)"


def test_channels_turned_round_together_with_rows_are_dense() -> None:
    """The rule for pixels does not see what becomes of channels whose number stays."""
    middle = "q = Slice(r, s, e, a, t) d = Conv(q, w1) h = Relu(d)"
    cut = {"s": ints(-1, 1), "e": ints(-100, 9), "a": ints(1, 2), "t": ints(-1, 1)}
    report = compile_and_check(parse(f"{STEM} {middle} {HEAD}", **WEIGHTS, **cut, w1=(8, 8, 1, 1)))
    assert became(report, "Slice") == {"dense"}


MOVES = {
    "Resize": ('h = Resize<mode="cubic">(r, , k)', {"k": floats(1, 1, 1.7, 0.6)}, 1),
    "Pad": ('h = Pad<mode="reflect">(r, p)', {"p": ints(0, 0, 2, 1, 0, 0, 0, 3)}, 0),
    "Slice": ("h = Slice(r, s, e, a)", {"s": ints(2), "e": ints(9), "a": ints(3)}, 0),
    "Gather": ("h = Gather<axis=2>(r, i)", {"i": ints(3, 1, -1)}, 0),
    "ConvTranspose": ("h = ConvTranspose<strides=[2,2]>(r, w1)", {"w1": (8, 8, 2, 2)}, 0),
}
"""Ops that move pixels, and how many sessions of onnxruntime lowering one opens."""


@pytest.mark.parametrize("op", MOVES)
def test_no_session_is_opened_twice_for_a_node(op: str, monkeypatch) -> None:
    middle, weights, expected = MOVES[op]
    opened: list[object] = []
    real = axis_table.open_session

    def count(model, *options, **named):
        opened.append(model)
        return real(model, *options, **named)

    monkeypatch.setattr(axis_table, "open_session", count)
    report = compile(parse(f"{STEM} {middle} {HEAD}", **WEIGHTS, **weights), verify=False)[1]
    assert became(report, op) == {"incremental"}
    assert len(opened) == expected


def test_a_rule_that_lacks_its_input_says_what_is_in_its_place() -> None:
    context, graph = context_of("f = Flatten(x) h = Concat<axis=1>(f, w) y = MatMul(h, v)", w=(1, 9), v=(978, 5))
    flatten, concat, product = graph
    image = graph.inputs[0]
    delta = context.emitter.emit("OcclusionDelta", [], {}, "delta")
    with pytest.raises(Refused, match="its input 0 does not depend on the image"):
        context.delta(flatten)
    context.forms[image] = Dense(delta)
    with pytest.raises(Refused, match="one of its inputs is dense"):
        context.delta(flatten)
    context.forms[flatten.outputs[0]] = Flat(None, image)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="its input is a flattened map"):
        context.delta(concat)
    with pytest.raises(Refused, match="it has no input 2"):
        context.value(concat, 2)
    with pytest.raises(Refused, match="its weights are not constant"):
        context.weight(product, 0, "weights")
    with pytest.raises(Refused, match="its weights are not constant"):
        context.constant(product, 2, "weights")
    assert context.optional_constant(product, 2, "biases") is None
    assert context.constant(product, 1, "weights").shape == (978, 5)
