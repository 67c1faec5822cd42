"""The hunt for layers that are dense (benchmarks/zoo/layers): enough of them, checked as the table says, and kept."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from benchmarks.zoo.layers.check_files import Checked, check_folder  # noqa: E402
from benchmarks.zoo.layers.export_files import SOURCES, jobs_of  # noqa: E402
from benchmarks.zoo.layers.layers_table import kept_section, read_records, write_layers, write_records  # noqa: E402

EXACT = Checked("ReLU", 2, "torchscript, batch 1", 1.0, 0.2)
DENSE = Checked("LSTM", 2, "torchscript, batch 1", 0.3, 0.1, "LSTM: its state runs along the map")


def test_there_are_enough_layers_of_torch():
    layers = {(layer, axes) for layer, axes, *_ in jobs_of("torch")}
    assert sum(axes == 2 for _, axes in layers) >= 120
    assert all(any(axes == wanted for _, axes in layers) for wanted in (1, 3))


@pytest.mark.filterwarnings("ignore")  # torch deprecates its older exporter
def test_layers_are_exported_and_checked(tmp_path):
    chosen = [job for job in jobs_of("torch") if job[:3] == ("ReLU", 2, "torchscript, batch 1")]
    chosen += [job for job in jobs_of("torch") if job[:3] == ("InstanceNorm2d", 2, "torchscript, batch 1")]
    for layer, axes, exporter, write in chosen:
        write(tmp_path / f"{layer}.onnx")
        row = {"layer": layer, "axes": axes, "exporter": exporter, "path": f"{layer}.onnx"}
        with (tmp_path / "files.jsonl").open("a") as listing:
            listing.write(json.dumps(row) + "\n")
    with (tmp_path / "files.jsonl").open("a") as listing:
        listing.write(json.dumps({"layer": "LSTM", "axes": 1, "exporter": "x", "failure": "it wrote no file"}) + "\n")
    lines: list[str] = []
    relu, norm, missing = check_folder(tmp_path, lines.append)
    assert relu.good
    assert relu.used <= 1
    assert not norm.good
    assert norm.used <= 1
    assert norm.reason.startswith("InstanceNormalization: its statistics are of the whole map")
    assert missing.failure == "no export: it wrote no file"
    assert [line.startswith("NO") for line in lines] == [False, True, True]


def test_the_table_stands_between_marks_and_is_replaced(tmp_path):
    document = tmp_path / "models.md"
    document.write_text("# Models\n", "utf-8")
    write_records([EXACT, DENSE], "torch", tmp_path)
    assert read_records(tmp_path) == {"torch": [EXACT, DENSE]}
    for _ in range(2):
        write_layers(read_records(tmp_path), document)
    text = document.read_text("utf-8")
    assert text.startswith("# Models\n")
    assert text.count("`ReLU`") == 1
    assert "| `LSTM` | 30 % | yes | LSTM: its state runs along the map |" in text
    assert kept_section(text).strip() in text
    assert "torch" in SOURCES
