"""Hostile JSON, labels and metadata: what a file from elsewhere may hold in place of what belongs there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

LABELS = ("cat", "dog", "a third")
ESCAPES = "\x1b[2K\rverified         every window\x07"
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2.5, -0.0, 1e308, 1e-308, 10**400, 2**31, 2**63, float("nan"), float("inf")),
    *(
        "",
        "x",
        "RGB",
        "3",
        ESCAPES,
        "\ud800",
        "\u202e",
        "y" * 5000,
        [],
        {},
        [[]],
        [None],
        [0, 0, 0],
        {"a": None},
        [1] * 999,
    ),
    *([1.0, "x"], {"height": 0, "width": -3}, {"shortest_edge": 1e9}, {"height": 12, "width": 16}, ["a", "b", "c"]),
)
PROCESSOR = {
    "do_resize": True,
    "size": {"height": 12, "width": 16},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "image_processor_type": "ViTImageProcessor",
}
SHORT = {**PROCESSOR, "size": {"shortest_edge": 16}, "do_center_crop": True, "crop_size": {"height": 12, "width": 16}}
SHORT |= {"image_processor_type": "CLIPImageProcessor"}
TIMM = {
    "architecture": "resnet18",
    "num_classes": 3,
    "label_names": ["n1", "n2", "n3"],
    "label_descriptions": {"n1": "cat", "n2": "dog", "n3": "third"},
    "pretrained_cfg": {
        "input_size": [3, 12, 16],
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": 3,
    },
}
HUGGING_FACE = {"id2label": {"0": "cat", "1": "dog", "2": "third"}, "label2id": {"cat": 0, "dog": 1, "third": 2}}
CONFIGURATIONS = (PROCESSOR, SHORT, TIMM, {"image_processor": PROCESSOR}, {**HUGGING_FACE, "model_type": "vit"})


def junk(rng: np.random.Generator) -> Any:
    return JUNK[int(rng.integers(len(JUNK)))]


def changed(rng: np.random.Generator, value: Any) -> Any:
    """The value with one thing in it replaced, dropped or added."""
    if isinstance(value, dict) and value:
        names = list(value)
        name = names[int(rng.integers(len(names)))]
        choice = rng.random()
        if choice < 0.15:
            return {key: each for key, each in value.items() if key != name}
        if choice < 0.25:
            return {
                **value,
                str(rng.choice(["size", "crop_size", "x", "0", "-1", "share", "scaled", "fill"])): junk(rng),
            }
        return {**value, name: changed(rng, value[name]) if choice < 0.6 else junk(rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = int(rng.integers(len(value)))
        return [*value[:at], changed(rng, value[at]), *value[at + 1 :]] if rng.random() < 0.7 else value[:at]
    if isinstance(value, int | float) and abs(value) < 1e300 and not isinstance(value, bool) and rng.random() < 0.5:
        return value * float(rng.choice([0, -1, 0.5, 1e-30, 1e30, 3]))
    return junk(rng)


def hostile_json(rng: np.random.Generator, value: Any) -> bytes:
    """The text of a value that was changed, or text that is none."""
    choice = rng.random()
    if choice < 0.05:
        return (b"[" * 100_000) if rng.random() < 0.5 else b'{"a":' * 50_000
    for _ in range(int(rng.integers(1, 4))):
        value = changed(rng, value)
    text = json.dumps(value).encode()
    if choice < 0.1:
        return text[: int(rng.integers(len(text) + 1))]
    if choice < 0.15:
        return b"\xff\xfe" + text
    if choice < 0.2:
        return b"\xef\xbb\xbf" + text
    return text


def labels(rng: np.random.Generator) -> tuple[str, bytes]:
    """The ending and the content of a file of labels."""
    choice = int(rng.integers(8))
    lines = list(LABELS)
    if choice == 0:
        return ".txt", "\n".join(lines).encode()
    if choice == 1:
        lines[int(rng.integers(3))] = str(
            rng.choice([ESCAPES, "", " ", "z" * 100_000, "\u202edog", "\0", "a\x85b", "\tx"])
        )
        return ".txt", "\n".join(lines[: int(rng.integers(1, 5))]).encode()
    if choice == 2:
        return ".txt", rng.bytes(int(rng.integers(0, 99)))
    if choice == 3:
        return ".json", hostile_json(rng, lines)
    if choice == 4:
        return ".json", hostile_json(rng, {str(at): label for at, label in enumerate(lines)})
    if choice == 5:
        return ".json", hostile_json(rng, HUGGING_FACE)
    if choice == 6:
        name = str(rng.choice(["labels.manifest", "labels.txt", "../x", "", ".", "\0", "labels.json"]))
        return ".manifest", json.dumps({"LabelFileName": name}).encode()
    return ".json", hostile_json(rng, TIMM)


def hostile_metadata(rng: np.random.Generator, path: Path) -> None:
    """Change the metadata of a model file."""
    model = onnx.load(path)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    ours = [name for name in entries if name.startswith("krypton")]
    for _ in range(int(rng.integers(1, 3))):
        key = str(
            rng.choice([*ours, "krypton.tuning", "names", "class_names", "id2label", "krypton.labels", "krypton"])
        )
        try:
            value = json.loads(entries.get(key, "null"))
        except (ValueError, RecursionError):
            value = entries[key]
        if value is None:
            value = list(LABELS)
        text = hostile_json(rng, value).decode("utf-8", "replace")
        entries[key] = (
            text if rng.random() < 0.9 else str(rng.choice(["", "{0: 'a', 1: 'b', 2: '\x1b[2Kc'}", "((((", "x"]))
        )
    del model.metadata_props[:]
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
