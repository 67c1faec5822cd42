"""The names of a model's classes: read from the files that models come with, and looked up by what people type."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

_LISTED = 8
"""Candidates that a message names; more do not help."""


def read_labels(path: str | Path, classes: int | None = None) -> tuple[str, ...]:
    """The labels in the order of the classes, ``classes`` of them where it is given.

    A .json file holds a list, ``{"0": "tench", ...}`` or Keras' ``{"0": ["n01440764", "tench"], ...}``; any other
    file one label a line.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if the file has another form, an empty label, or another number of labels than classes.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
        labels = _from_json(json.loads(text)) if path.suffix == ".json" else text.rstrip().splitlines()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    labels = [label.strip() for label in labels]
    if "" in labels or not labels:
        raise ValueError(f"{path}: no label for class {labels.index('') if labels else 0}; expected one a class")
    if classes is not None and len(labels) != classes:
        raise ValueError(f"{path}: {len(labels)} labels; the model has {classes} classes")
    return tuple(labels)


def find_label(labels: Sequence[str], name: str) -> int:
    """The class that ``name`` means.

    The first of these that fits any label decides: the very label; the label in other case; one of its synonyms,
    which commas part ("tabby" of "tabby, tabby cat"); the start of a synonym; a piece of one.

    Raises:
        ValueError: if the name fits no label, or several equally well; the message lists what there is.
    """
    wanted = name.strip().casefold()
    synonyms = [[part.strip().casefold() for part in label.split(",")] for label in labels]
    fits: tuple[Callable[[int], bool], ...] = (
        lambda row: labels[row] == name,
        lambda row: labels[row].strip().casefold() == wanted,
        lambda row: wanted in synonyms[row],
        lambda row: any(part.startswith(wanted) for part in synonyms[row]),
        lambda row: any(wanted in part for part in synonyms[row]),
    )
    for fit in fits if wanted else ():
        found = [row for row in range(len(labels)) if fit(row)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = "; ".join(f"{row} {labels[row]}" for row in found[:_LISTED])
            more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
            raise ValueError(f"class {name!r} may be {listed}{more}; give more of the label, or the number")
    known = {part: labels[row] for row, parts in enumerate(synonyms) for part in parts}
    close = dict.fromkeys(known[part] for part in difflib.get_close_matches(wanted, known, n=3, cutoff=0.5))
    hint = f"the closest are {'; '.join(close)}" if close else f"expected one such as {labels[0]!r}"
    raise ValueError(f"class {name!r}: no label of the model; {hint}")


def _from_json(content: object) -> list[str]:
    if isinstance(content, dict):
        numbers = [str(number) for number in range(len(content))]
        if set(content) != set(numbers):
            raise ValueError(f'expected the keys "0" to "{len(content) - 1}", each class once')
        content = [content[number] for number in numbers]
        content = [pair[1] if isinstance(pair, list) and len(pair) == 2 else pair for pair in content]
    if not isinstance(content, list) or not all(isinstance(label, str) for label in content):
        raise ValueError('expected a list of labels, {"0": label, ...} or {"0": [id, label], ...}')
    return content
