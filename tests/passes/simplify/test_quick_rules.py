"""The optimizer's rules in linear time: what they match is what they matched."""

from __future__ import annotations

import itertools

import onnx_ir as ir
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxscript import optimizer, rewriter

from krypton_compile.passes.simplify.quick_rules import quick_rules
from tests.support.graphs import ints, parse


def slices(cuts: tuple[int, ...], twice: bool) -> ir.Model:
    """Slices of one tensor, side by side, which a rule of two outputs looks at."""
    ends = [0, *sorted(cuts), 6]
    names, lines, weights = [], [], {}
    for number, (begin, end) in enumerate(itertools.pairwise(ends)):
        for copy in range(2 if twice else 1):
            name = f"s{number}_{copy}"
            weights |= {f"b{name}": ints(begin), f"e{name}": ints(end), f"a{name}": ints(3)}
            lines.append(f"{name} = Slice(x, b{name}, e{name}, a{name})")
            names.append(name)
    body = " ".join(lines) + f" c = Concat <axis = 3> ({', '.join(names)}) r = Relu(c) z = Add(r, zero) y = Relu(z)"
    model = parse(
        body, image="float[1,6,4,4] x", scores="float[1,C,4,4] y", opset=18, zero=ints(0).astype("f4"), **weights
    )
    return ir.from_proto(model)


@settings(max_examples=20, deadline=None)
@given(cuts=st.sampled_from([(), (3,), (2,), (2, 4), (1, 3, 5)]), twice=st.booleans())
def test_quick_rules_make_the_same_model(cuts, twice):
    plain, quick = (slices(cuts, twice) for _ in range(2))
    optimizer.optimize_ir(plain)
    with quick_rules():
        optimizer.optimize_ir(quick)
    texts = [ir.to_proto(model).SerializeToString(deterministic=True) for model in (plain, quick)]
    assert texts[0] == texts[1]


def test_the_rules_are_left_as_they_were():
    before = [rule._matcher for rule in rewriter._DEFAULT_REWRITE_RULES]
    with quick_rules():
        assert [rule._matcher for rule in rewriter._DEFAULT_REWRITE_RULES] != before
    assert [rule._matcher for rule in rewriter._DEFAULT_REWRITE_RULES] == before


def test_a_rule_of_several_outputs_goes_through_no_other_nodes(monkeypatch):
    model = slices((3,), False)
    asked = []

    def watched(match):
        def asking(model, graph, node, **how):
            asked.append(list(graph))
            return match(model, graph, node, **how)

        return asking

    for rule in rewriter._DEFAULT_REWRITE_RULES:
        if not rule._target_pattern.has_single_output_node:
            monkeypatch.setattr(rule._matcher, "match", watched(rule._matcher.match))
    with quick_rules():
        optimizer.optimize_ir(model)
    assert asked
    assert all({node.op_type for node in nodes} <= {"Slice"} for nodes in asked)
