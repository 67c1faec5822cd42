"""The names of a model's classes: read from the files that models come with, and looked up by what people type."""

from __future__ import annotations

import ast
import difflib
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from krypton_compile.disk.read import parse_json, read_text

_LISTED = 8
"""Candidates that a message names; more do not help."""
_LONGEST = 1 << 22
"""Characters of a metadata entry that is read; the names of ImageNet's 21,841 classes have 600,000."""
_EXPECTED = 'expected a list of labels, {"0": label, ...} or {"0": [id, label], ...}'
_METADATA_KEYS = ("names", "class_names", "id2label", "labels", "classes")


def read_labels(path: str | Path, classes: int | None = None, gaps: bool = True) -> tuple[str, ...]:
    """The labels in the order of the classes, ``classes`` of them where it is given.

    JSON is a list, ``{"0": "tench", ...}``, Keras' ``{"0": ["n01440764", "tench"], ...}``, or what models come with: a
    config.json of Hugging Face (``id2label``) or timm (``label_names``), or Custom Vision's cvexport.manifest, which
    names a file of labels. Any other file has one label a line, which the class's own number may precede. A class that
    a file by numbers leaves out between others is called "class 7" or the like, and a warning says so; not where
    ``gaps`` is False.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if the file has another form, an empty label, or another number of labels than classes.
    """
    path = Path(path)
    try:
        text = read_text(path)
        if path.suffix in (".json", ".manifest"):
            content = _parse_file(text)
            if isinstance(content, dict) and isinstance(content.get("LabelFileName"), str):
                inner = path.parent / Path(content["LabelFileName"]).name
                if inner.suffix == ".manifest":
                    raise ValueError(f'"LabelFileName" is {inner.name!r}; expected a file of labels')
                return read_labels(inner, classes, gaps)
            labels = _from_json(content, gaps)
        else:
            labels = _without_numbers(text.rstrip().splitlines())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    labels = [label.strip() for label in labels]
    if "" in labels or not labels:
        raise ValueError(f"{path}: no label for class {labels.index('') if labels else 0}; expected one a class")
    if classes is not None and len(labels) != classes:
        raise ValueError(f"{path}: {len(labels)} labels; the model has {classes} classes")
    return tuple(labels)


def labels_in_metadata(metadata: Mapping[str, str], classes: int) -> tuple[str, tuple[str, ...]] | None:
    """The metadata key and the labels that an exporter wrote into a model; None where they are not ``classes``.

    ultralytics writes ``names`` as a literal of Python, ``{0: 'tench', 1: ...}``; others write lists, or JSON.
    """
    for key in _METADATA_KEYS:
        text = metadata.get(key, "")
        if text[:1] not in "{[(" or len(text) > _LONGEST:
            continue
        try:
            content = _parse(text)
            content = dict(enumerate(content)) if isinstance(content, tuple | list) else content
            labels = tuple(label.strip() for label in _by_number(content, gaps=False))
            "".join(labels).encode()  # halves of characters are refused
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):  # a text that means something else
            continue
        if len(labels) == classes and "" not in labels:
            return key, labels
    return None


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


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _parse_file(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{_EXPECTED}, in JSON ({error})") from error


def _without_numbers(lines: list[str]) -> list[str]:
    """Labels alone: where every line begins with the number of its class, as Teachable Machine writes them, without."""
    split = [re.fullmatch(r"\s*(\d+)\s*[:;,\s]\s*(\S.*)", line) for line in lines]
    numbered = [match for row, match in enumerate(split) if match is not None and int(match[1]) == row]
    return [match[2] for match in numbered] if len(numbered) == len(lines) else lines


def _from_json(content: Any, gaps: bool) -> list[str]:
    if isinstance(content, dict):
        found = _from_config(content)
        if found is not None:
            return _by_number(found, gaps)
        numbers = [str(number) for number in range(len(content))]
        if set(content) != set(numbers):
            raise ValueError(
                f'expected "id2label", "label_names" or the keys "0" to "{len(content) - 1}", each class once'
            )
        content = [content[number] for number in numbers]
        content = [pair[1] if isinstance(pair, list) and len(pair) == 2 else pair for pair in content]
    if not isinstance(content, list) or not all(isinstance(label, str) for label in content):
        raise ValueError(_EXPECTED)
    return content


def _from_config(content: dict[str, Any]) -> dict[Any, Any] | None:
    """The labels by number of a configuration file: Hugging Face's, or timm's; None where it is neither."""
    if isinstance(content.get("id2label"), dict):
        return dict(content["id2label"])
    if isinstance(content.get("label2id"), dict):
        return {number: label for label, number in content["label2id"].items()}
    inner = content.get("pretrained_cfg")
    names = content.get("label_names") or (inner.get("label_names") if isinstance(inner, dict) else None)
    if isinstance(names, list | dict):
        said = content.get("label_descriptions")
        said = said if isinstance(said, dict) else {}
        numbered = dict(enumerate(names)) if isinstance(names, list) else names
        return {number: said.get(name, name) if isinstance(name, str) else name for number, name in numbered.items()}
    if not content.keys() & {"architecture", "architectures", "pretrained_cfg", "model_type"}:
        return None
    raise ValueError('the configuration has no "id2label" and no "label_names"')


def _by_number(mapping: Any, gaps: bool) -> list[str]:
    """The labels in order; a class without one between others is called by its number, and that is said.

    Raises:
        ValueError: if a key is no number of a class, or a class has two labels or one that is no text, or if most
            classes have none; where ``gaps`` is False, if one class has none.
    """
    labels: dict[int, str] = {}
    if not isinstance(mapping, dict):
        raise ValueError("expected a list of labels, or labels by number")
    for key, label in mapping.items():
        number = int(key) if isinstance(key, int) or (isinstance(key, str) and key.isdecimal()) else -1
        if number < 0 or number in labels or isinstance(key, bool) or not isinstance(label, str | int):
            raise ValueError(f"class {key!r}: {label!r}; expected a number, once, and a label")
        labels[number] = str(label)
    count = max(labels, default=-1) + 1
    if count > (2 if gaps else 1) * len(labels):
        raise ValueError(f"{len(labels)} labels for the classes up to {count - 1}; expected one a class")
    missing = [number for number in range(count) if number not in labels]
    if missing:
        listed = ", ".join(map(str, missing[:_LISTED])) + (" and more" if len(missing) > _LISTED else "")
        warnings.warn(f"no label for class {listed}; such a class is called 'class {missing[0]}'", stacklevel=4)
    return [labels.get(number, f"class {number}") for number in range(count)]
