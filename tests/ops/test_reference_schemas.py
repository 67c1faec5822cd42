"""The reference implements schemas.py: the same ops, in order, with the same inputs, outputs and attributes."""

from __future__ import annotations

import inspect
from typing import get_args, get_type_hints

import pytest
from onnx.reference.op_run import OpRun

from krypton_compile.contract.schemas import DOMAIN, SCHEMAS, OpSchema
from krypton_compile.reference import REFERENCE_OPS
from krypton_compile.reference.windows import WindowAttributes

PAIRS = list(zip(REFERENCE_OPS, SCHEMAS, strict=True))


def names(specs: tuple[str, ...]) -> list[str]:
    return [spec.split(":")[0] for spec in specs]


def declared(op: type[OpRun]) -> list[inspect.Parameter]:
    return list(inspect.signature(op._run).parameters.values())[1:]


def test_ops_are_the_schemas_in_order() -> None:
    assert [op.__name__ for op in REFERENCE_OPS] == [schema.name for schema in SCHEMAS]
    assert {op.op_domain for op in REFERENCE_OPS} == {DOMAIN}


@pytest.mark.parametrize(("op", "schema"), PAIRS, ids=lambda value: getattr(value, "name", ""))
def test_inputs_come_first_and_attributes_after(op: type[OpRun], schema: OpSchema) -> None:
    parameters = declared(op)
    inputs, rest = parameters[: len(schema.inputs)], parameters[len(schema.inputs) :]
    assert [parameter.name for parameter in inputs] == names(schema.inputs)
    for parameter, spec in zip(inputs, schema.inputs, strict=True):
        assert (parameter.default is None) == spec.endswith("?"), f"{spec} is optional on one side only"
        assert (parameter.kind is parameter.VAR_POSITIONAL) == spec.endswith("*"), (
            f"{spec} is variadic on one side only"
        )
    attributes: set[str] = set()
    for parameter in rest:
        shared = parameter.kind is parameter.VAR_KEYWORD
        attributes |= set(WindowAttributes.__required_keys__) if shared else {parameter.name}
    assert attributes == set(schema.attributes)


@pytest.mark.parametrize(("op", "schema"), PAIRS, ids=lambda value: getattr(value, "name", ""))
def test_outputs_are_as_many(op: type[OpRun], schema: OpSchema) -> None:
    assert len(get_args(get_type_hints(op._run)["return"])) == len(schema.outputs)
