"""The classes' names: read from a file, and found by a person's spelling."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path


def read_labels(path: str | Path, classes: int) -> tuple[str, ...]:
    """One label a class, see :func:`read_lines`.

    Raises:
        OSError, ValueError: as there, or another number of labels than ``classes``.
    """
    labels = read_lines(path)
    if len(labels) != classes:
        raise ValueError(f"{path}: {len(labels)} labels for a model of {classes} classes; expected one a class")
    return labels


def read_lines(path: str | Path) -> tuple[str, ...]:
    """Labels of a text file, one a line; or of JSON, a list or an object by index ({"0": "tench", ...}).

    Of Keras' {"0": ["n01440764", "tench"], ...} the last of each.

    Raises:
        OSError: the file cannot be read.
        ValueError: JSON of another form.
    """
    text = Path(path).read_text(encoding="utf-8")
    labels = _from_json(path, text) if text.lstrip()[:1] in ("[", "{") else tuple(text.strip("\n").splitlines())
    return tuple(label.strip() for label in labels)


def find_label(labels: Sequence[str], name: str) -> int:
    """The class that ``name`` means: exactly, or but for case, or as one of a label's synonyms, or as its beginning.

    "tabby" finds "tabby, tabby cat".

    Raises:
        ValueError: none, with the nearest names; or several, which are listed.
    """
    wanted = name.strip().lower()
    lower = [label.lower() for label in labels]
    ways = (
        [index for index, label in enumerate(labels) if label == name],
        [index for index, label in enumerate(lower) if label == wanted],
        [index for index, label in enumerate(lower) if wanted in (part.strip() for part in label.split(","))],
        [index for index, label in enumerate(lower) if label.startswith(wanted)],
    )
    for found in ways:
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"{name!r} may be {'; '.join(f'{labels[index]} ({index})' for index in found[:5])}; say which"
            )
    near = difflib.get_close_matches(wanted, lower, n=3, cutoff=0.5)
    nearest = [labels[lower.index(one)] for one in near] or list(labels[:3])
    raise ValueError(f"{name!r} is none of the {len(labels)} labels; near ones: {'; '.join(nearest)}")


def _from_json(path: str | Path, text: str) -> tuple[str, ...]:
    expected = f'{path}: expected a JSON list of labels, or an object such as {{"0": "tench", "1": "goldfish"}}'
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            found = [found[str(index)] for index in range(len(found))]
    except (ValueError, KeyError) as error:
        raise ValueError(expected) from error
    labels = [one[-1] if isinstance(one, list) and one else one for one in found]
    if not all(isinstance(label, str) for label in labels):
        raise ValueError(expected)
    return tuple(labels)
