"""The zoo (benchmarks/zoo) on small relatives of its networks: exact, as incremental as expected, measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.zoo.check import Checked, DenseCause, check, dense_causes, random_boxes  # noqa: E402
from benchmarks.zoo.entries import ENTRIES, Entry, find  # noqa: E402
from benchmarks.zoo.measure import PAIRS, Measured, chunks, measure  # noqa: E402
from benchmarks.zoo.records import Record, read_all, read_record  # noqa: E402
from benchmarks.zoo.table import write_table  # noqa: E402
from krypton_compile import Report  # noqa: E402
from krypton_compile.compiler.report import LayerReport  # noqa: E402
from krypton_compile.contract.geometry import neighbour_order, occlusion_grid  # noqa: E402
from models.zoo import networks  # noqa: E402
from models.zoo.pictures import hidden, pictures  # noqa: E402
from models.zoo.small import SMALL, exported  # noqa: E402

SHAPE = (3, 64, 72)
SMALL_ENTRY = Entry("small", "own", "small", SHAPE)
EXPECTED = {
    # least share of the multiply-adds that is incremental, op that makes it dense
    "preactivation": (0.99, None),
    "cbam": (0.01, "Mul"),
    "unet": (0.99, None),
    "unet bilinear": (0.99, None),
    "densenet": (0.99, None),
    "shufflenet": (0.99, None),
    "gated": (0.01, "Mul"),
    "convnext": (0.99, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", EXPECTED)
def test_small_relatives_are_exact(what, tmp_path):
    share, dense = EXPECTED[what]
    found = check(exported(what), tmp_path / "net.krypton.onnx", pictures(1, SHAPE, 1))
    assert found.exact, found
    assert found.share >= share, found.dense
    if share >= 0.99:
        assert not found.dense
    if dense is not None:
        assert dense in {cause.op for cause in found.dense}


@pytest.mark.slow
def test_an_entry_is_measured_recorded_and_listed(tmp_path):
    source, image, compiled = exported("densenet"), pictures(1, SHAPE, 1), tmp_path / "net.krypton.onnx"
    record = Record("torchscript", "ValueError: a | b", check(source, compiled, image, boxes=4))
    said = []
    record.measured = measure(SMALL_ENTRY, source, compiled, image, 1, 0.5, said.append)
    assert len(record.measured.ratios) >= PAIRS
    assert record.measured.positions == 13 * 15
    assert 2 <= len(said) <= 3  # others may use the machine, which is said too
    record.measured = replace(record.measured, busy=0.5)
    entry, other = ENTRIES[0], ENTRIES[1]
    record.write(entry, tmp_path)
    Record(failure="check: ModelError: no | such\nTraceback").write(other, tmp_path)
    assert read_record(entry, tmp_path) == record
    assert read_record(replace(entry, shape=(3, 32, 32)), tmp_path) == Record()
    write_table(read_all(ENTRIES, tmp_path), tmp_path / "models.md")
    table = (tmp_path / "models.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len({row.count("|") for row in rows}) == 1
    assert f"{record.measured.speed_up:.2f}x" in table
    assert "FAILED: check: ModelError: no / such" in table
    assert "Traceback" not in table
    assert f"too large: {entry.name}." in table


def test_a_difference_beyond_the_bound_or_scores_without_spread_are_not_exact():
    good = Checked(1.0, 1, 1.0, 2.0, 2.0, 3, used=0.9, rounding=0.1, spread=1e3)
    assert good.exact
    assert not replace(good, used=1.1).exact
    assert not replace(good, spread=50.0).exact
    assert not replace(good, used=float("nan")).exact


def test_what_follows_a_dense_node_counts_behind_it():
    def layer(name, op, became, reason, work):
        return LayerReport(name, op, (1, 1), became, reason, None, work, 0.0, 0.0)

    layers = [
        layer("a", "Conv", "incremental", "", 50),
        layer("b", "Resize", "dense", "no incremental rule for Resize", 0),
        layer("c", "Conv", "dense", "its input is dense", 30),
        layer("d", "Resize", "dense", "no incremental rule for Resize", 0),
        layer("e", "Mul", "dense", "one of its inputs is dense", 0),
        layer("f", "Conv", "dense", "its input is dense", 20),
        layer("g", "Gemm", "dense", "class vector, no spatial axes left", 0),
    ]
    causes = dense_causes(Report("m", (16, 16), (4, 4), 9, layers))
    assert causes == [
        DenseCause("Resize", "no incremental rule for Resize", "b", 2, 0.5),
        DenseCause("Mul", "one of its inputs is dense", "e", 1, 0.2),
    ]


def test_speed_ups_are_of_neighbouring_runs_with_the_base_pass_in_them():
    measured = Measured("m", 2, "float32", 100, 8, 8, 1, 10.0, [1.0, 3.0, 1.0], [0.4, 0.9], 0.0, 0.0)
    assert measured.ratios == pytest.approx([2 / 0.5, 2 / 1.0])
    assert measured.speed_up == pytest.approx(3.0)


def test_samples_are_whole_chunks_of_neighbours_spread_over_the_grid():
    grid = occlusion_grid((64, 64), (16, 16), (4, 4))
    found = chunks(grid, 4, 16).reshape(4, 16, 4)
    assert len(np.unique(found.reshape(-1, 4), axis=0)) == 64
    places = [np.flatnonzero((grid[neighbour_order(grid)] == box).all(axis=1))[0] for box in found.reshape(-1, 4)]
    starts = np.reshape(places, (4, 16))
    assert (np.diff(starts, axis=1) == 1).all()
    assert starts[:, 0].tolist() == [0, 51, 102, 153]
    assert len(chunks(grid, 100, 16)) == 160  # no window twice: the grid has 169
    assert len(chunks(grid, 3, 1000)) == len(grid)


@pytest.mark.parametrize("size", [(200,), (20, 24), (7, 20, 40)])
def test_boxes_lie_in_the_image(size):
    starts, sizes = np.split(random_boxes(size, np.random.default_rng(0), 200), 2, axis=1)
    assert (starts >= 0).all()
    assert (starts + sizes <= size).all()
    assert (sizes > 0).all()


def test_windows_are_hidden_in_signals_and_volumes():
    signal = hidden(np.ones((1, 2, 6), np.float32), np.array([[1, 3], [0, 0]], np.int32))
    assert signal[:, 1].tolist() == [[1, 0, 0, 0, 1, 1], [1] * 6]
    volume = hidden(np.ones((1, 1, 3, 4, 5), np.float32), np.array([[1, 0, 2, 1, 4, 3]], np.int32))
    assert volume.sum() == 60 - 12
    assert (volume[0, 0, 1, :, 2:] == 0).all()


def test_signals_are_checked_and_measured_too(tmp_path):
    entry = Entry("signal", "own", "signal", SMALL["signal"].shape, patch=32, stride=16)
    source = exported("signal")
    image, compiled = pictures(1, entry.shape, 1), tmp_path / "net.krypton.onnx"
    found = check(source, compiled, image, patch_size=entry.patch, stride=entry.stride)
    assert found.exact, found
    assert found.share == 1.0
    measured = measure(entry, source, compiled, image, 1, 0.2, lambda _: None)
    assert measured.positions == 15


@pytest.mark.parametrize("shape", [(3, 40), (3, 40, 20), (2, 9, 8, 70)])
def test_pictures_have_any_rank(shape):
    found = pictures(2, shape, 0)
    assert found.shape == (2, *shape)
    assert found.dtype == np.float32
    assert found.std() == pytest.approx(1, abs=1e-3)


def test_entries_are_found_by_name_and_builder():
    for key in (lambda entry: entry.name, lambda entry: entry.builder):
        assert len({key(entry) for entry in ENTRIES}) == len(ENTRIES) > 50
    assert find([]) == ENTRIES
    assert [entry.builder for entry in find(["AlexNet", "vgg16"])] == ["alexnet", "vgg16"]
    with pytest.raises(ValueError, match="no entry is called 'vgg'; there are alexnet, "):
        find(["vgg"])


def test_own_networks_exist():
    own = [entry for entry in ENTRIES if entry.source == "own"]
    assert isinstance(own[0], Entry)
    assert all(callable(getattr(networks, entry.builder)) for entry in own)
