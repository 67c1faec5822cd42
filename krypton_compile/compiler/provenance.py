"""The provenance of a compiled file: its source, how pictures become its input, and the names of its classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from krypton_compile.contract.annotations import LABELS_KEY, MODEL_KEY, PREPROCESSING_KEY, SOURCE_KEY, write_labels
from krypton_compile.contract.layouts import KINDS
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.contract.presets import read_recipe
from krypton_compile.errors import ModelError
from krypton_compile.files.loading import Source, describe, sha256
from krypton_compile.passes.interface import Interface
from krypton_compile.passes.shapes import static_shape


def require_uncompiled(source: Source, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model that was loaded from ``source`` unless it is a compiled one.

    Raises:
        ModelError: if it is.
    """
    if any(entry.key == MODEL_KEY for entry in proto.metadata_props):
        raise ModelError(
            f"{describe(source)}: expected a model as it was exported, found one that is compiled already. Explain "
            "pictures with it (krypton-explain, or OcclusionSession in Python); to compile it in another way, give the "
            "model that it was compiled from"
        )
    return proto


def provenance(
    source: Source, interface: Interface, preprocessing: str | Preprocessing | None, labels: Sequence[str] | None
) -> dict[str, str]:
    """Write the metadata entries: the source's SHA-256, and the preprocessing and labels where they are not None.

    Raises:
        ModelError: if ``preprocessing`` names no recipe or is for other pictures than the image, or ``labels`` are not
            as many as the model has classes.
    """
    entries = {SOURCE_KEY: sha256(source)}
    if preprocessing is not None:
        entries[PREPROCESSING_KEY] = _fitting(preprocessing, interface).to_json()
    if labels is not None:
        classes = math.prod(static_shape(interface.scores))
        if isinstance(labels, str) or len(labels) != classes:
            found = "one text" if isinstance(labels, str) else str(len(labels))
            raise ModelError(f"labels: {found}; the model has {classes} classes, expected a label for each")
        entries[LABELS_KEY] = write_labels(labels)
    return entries


def _fitting(preprocessing: str | Preprocessing, interface: Interface) -> Preprocessing:
    sizes = interface.image_shape
    if len(sizes) != 2:
        raise ModelError(f"preprocessing: for pictures; input '{interface.image.name}' is a {KINDS[len(sizes)]}")
    try:
        recipe = read_recipe(preprocessing) if isinstance(preprocessing, str) else preprocessing
        recipe.check_fits((sizes[0], sizes[1]), interface.channels)
    except (ValueError, OSError) as error:
        raise ModelError(str(error)) from error
    return recipe
