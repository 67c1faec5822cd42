"""The arguments of the compiler that are wrong whatever the model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from krypton_compile.contract import validate
from krypton_compile.contract.annotations import TARGETS
from krypton_compile.contract.layouts import LAYOUTS
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.errors import ModelError


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the types and counts of :func:`krypton_compile.compile`'s arguments, of those that ``arguments`` holds.

    Raises:
        ModelError: if one of them is nothing that it may be; the message names it.
    """
    for name, (fits, expected) in _EXPECTED.items():
        if name in arguments:
            value = arguments[name]
            validate.require(name, value, fits(value), expected, ModelError)


def _is_count(value: object) -> bool:
    return value is None or validate.is_count(value)


def _are_sizes(value: object) -> bool:
    return validate.is_count(value) or (
        isinstance(value, list | tuple) and len(value) > 0 and all(map(validate.is_count, value))
    )


def _is_name(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_index(value: object) -> bool:
    return all(
        each is None or validate.is_integer(each) for each in (value if isinstance(value, list | tuple) else [value])
    )


def _are_named(value: object) -> bool:
    return value is None or (isinstance(value, Mapping) and all(isinstance(name, str) for name in value))


def _are_labels(value: object) -> bool:
    return value is None or isinstance(value, str) or validate.are_texts(value)  # of one text provenance.py tells more


def _is_recipe(value: object) -> bool:
    return value is None or isinstance(value, str | Preprocessing)


def _is_place(value: object) -> bool:
    return value is None or validate.is_path(value)


_EXPECTED: dict[str, tuple[Callable[[object], bool], str]] = {
    "image_size": (lambda value: value is None or _are_sizes(value), "a tuple of integers from 1 on"),
    "patch_size": (_are_sizes, "an integer from 1 on, or one for each axis"),
    "stride": (_are_sizes, "an integer from 1 on, or one for each axis"),
    "chunk": (_is_count, "an integer from 1 on"),
    "channels": (_is_count, "an integer from 1 on"),
    "input_name": (_is_name, "the name of a tensor"),
    "output_name": (_is_name, "the name of a tensor"),
    "output_index": (_is_index, "an index, or one for each axis behind the batch"),
    "layout": (
        lambda value: value is None or validate.is_one_of(value, LAYOUTS),
        f"one of {', '.join(LAYOUTS)}",
    ),
    "target": (lambda value: validate.is_one_of(value, TARGETS), f"one of {', '.join(TARGETS)}"),
    "preprocessing": (_is_recipe, "a preset, a preprocessor_config.json or a Preprocessing"),
    "labels": (_are_labels, "a list of names, one for each class"),
    "held": (_are_named, "values by the names of inputs"),
    "verify": (validate.is_truth, "True or False"),
    "frozen_gates": (validate.is_truth, "True or False"),
    "explain_fallbacks": (validate.is_truth, "True or False"),
    "output": (_is_place, "a path"),
    "trace": (_is_place, "a path"),
}
"""Of each argument, whether a value may be one, and what is expected."""
