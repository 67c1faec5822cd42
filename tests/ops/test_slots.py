"""A family's call.h names the inputs of its ops as the schemas do: names, order, types, and which are optional."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from krypton_compile.contract.schemas import SCHEMAS, OpSchema
from tests.ops.ops_def import FAMILIES, SOURCES, read_ops

TYPES = {
    "kFloat": "float",
    "kInt32": "int32",
    "kInt64": "int64",
    "kBool": "bool",
    "kFloatOptional": "float?",
    "kInt32Optional": "int32?",
    "kInt64Optional": "int64?",
    "kBoolOptional": "bool?",
    "kFloatVariadic": "float*",
    "kInt32Variadic": "int32*",
}
"""What the schemas write for a slot of op/slots.h."""

STRUCT = re.compile(r"^struct (\w+)Inputs \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
SLOT = re.compile(r'(\w+)\{(\d+), "(\w+)", (\w+)\}')
ORDER = re.compile(r"static constexpr Input kAll\[\] = \{([\w, ]+)\};")


def declared() -> Iterator[tuple[str, str, str]]:
    """Family, op and the body of its struct."""
    for family in FAMILIES:
        for op, body in STRUCT.findall((SOURCES / "ops" / family / "call.h").read_text()):
            yield family, op, body


DECLARED = {op: (family, body) for family, op, body in declared()}


def test_every_op_has_its_inputs_in_its_family() -> None:
    assert {op: family for op, (family, _) in DECLARED.items()} == {op.name: op.family for op in read_ops()}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_inputs_are_those_of_the_schema(schema: OpSchema) -> None:
    body = DECLARED[schema.name][1]
    slots = SLOT.findall(body)
    assert [identifier for identifier, *_ in slots] == [name for _, _, name, _ in slots]
    assert [int(index) for _, index, *_ in slots] == list(range(len(slots)))
    assert tuple(f"{name}:{TYPES[kind]}" for _, _, name, kind in slots) == schema.inputs
    [order] = ORDER.findall(body)
    assert order.split(", ") == [identifier for identifier, *_ in slots]


def test_no_kernel_counts_its_inputs() -> None:
    """Readers of op/inputs.h, thresholds and presence are asked by name, never by number."""
    numbered = re.compile(r"(GetInput\(|context, )\d")
    for folder in ("ops", "cuda"):
        for path in (SOURCES / folder).rglob("*"):
            if path.suffix in {".cc", ".cu", ".h"}:
                assert not numbered.search(path.read_text()), path
