"""Traces: the model after each pass, whole and runnable, a table, and what is left where a pass fails."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from krypton_compile import compile, get_library_path
from krypton_compile.cli import compile as compile_cli
from krypton_compile.compiler.trace import TABLE, WEIGHTS
from krypton_compile.errors import ModelError
from krypton_compile.passes.body import BODY
from krypton_compile.passes.frontend import FRONTEND
from krypton_compile.passes.simplify import CLEAN_UP, SIMPLIFY
from tests.support.graphs import parse
from tests.support.small import SHAPE, small_model

RANDOM = "c = Conv(x, w) n = RandomNormalLike(c) h = Add(c, n) g = GlobalAveragePool(h) y = Flatten(g)"


def names(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.glob("*.onnx"))]


def expected_names() -> list[str]:
    passes = [("frontend", each) for each in FRONTEND]
    passes += [("simplify", each) for each in SIMPLIFY if each.only_after is None]
    passes += [("body", each) for each in BODY] + [("clean_up", each) for each in CLEAN_UP]
    return [f"{number:02d}_{stage}_{each.name}.onnx" for number, (stage, each) in enumerate(passes, 1)]


def scores(path: Path, image: np.ndarray, output: str = "probability") -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    session = ort.InferenceSession(path, options, ["CPUExecutionProvider"])
    return session.run([output], {session.get_inputs()[0].name: image})[0]


def test_every_pass_leaves_a_whole_model(tmp_path: Path, image: np.ndarray) -> None:
    compiled, _ = compile(small_model(), trace=tmp_path / "trace")
    assert names(tmp_path / "trace") == expected_names()
    numbers = []
    for path in sorted((tmp_path / "trace").glob("*.onnx")):
        model = onnx.load(path)  # with its weights
        assert path.stat().st_size < 40_000
        numbers.append(sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer))
    assert numbers[0] == sum(int(np.prod(tensor.dims)) for tensor in small_model().graph.initializer)
    assert sum(path.stat().st_size for path in (tmp_path / "trace").iterdir()) < 40 * small_model().ByteSize()
    # What the model is before it is lowered answers like the model, and the last file is the compiled model.
    plain = [
        path for path in sorted((tmp_path / "trace").glob("*.onnx")) if path.name[3:11] in ("frontend", "simplify")
    ]
    original = tmp_path / "original.onnx"
    onnx.save(small_model(), original)
    for path in plain:
        np.testing.assert_allclose(scores(path, image), scores(original, image), atol=1e-6)
    last = onnx.load(sorted((tmp_path / "trace").glob("*.onnx"))[-1])
    assert [node.name for node in last.graph.node] == [node.name for node in compiled.graph.node]


def test_the_body_is_in_the_files_before_it_is_batched(tmp_path: Path, image: np.ndarray) -> None:
    compiled, _ = compile(small_model(), trace=tmp_path / "trace")
    boxes = np.array([[0, 0, 6, 6], [3, 5, 8, 8], [0, 0, 0, 0]], np.int32)
    whole = tmp_path / "whole.onnx"
    onnx.save(compiled, whole)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(get_library_path())
    feeds = {"x": image, "boxes": boxes, "baseline": np.zeros(SHAPE, np.float32)}
    expected = ort.InferenceSession(whole, options, ["CPUExecutionProvider"]).run(["scores"], feeds)[0]
    seen = 0
    for path in sorted((tmp_path / "trace").glob("*_body_*.onnx")):
        if "batch_positions" in path.name:
            break
        session = ort.InferenceSession(path, options, ["CPUExecutionProvider"])
        found = session.run(None, {**feeds, "chunk.boxes": boxes, "chunk.offsets": np.zeros(3, np.int64)})
        shapes = [output.shape for output in found]
        assert any(output.shape == (3, 5) and np.allclose(output, expected, atol=1e-6) for output in found), shapes
        seen += 1
    assert seen == [each.name for each in BODY].index("batch_positions")


def test_the_table_lists_each_pass_with_its_nodes(tmp_path: Path) -> None:
    compile(
        parse("c = Conv(x, w) s = Sum(c, c, c) g = GlobalAveragePool(s) y = Flatten(g)", w=(5, 3, 3, 3)), trace=tmp_path
    )
    rows = [line.split() for line in (tmp_path / TABLE).read_text().splitlines()]
    assert rows[0] == ["#", "stage", "pass", "before", "after", "seconds"]
    assert [f"{int(row[0]):02d}_{row[1]}_{row[2]}.onnx" for row in rows[1:]] == names(tmp_path) == expected_names()
    assert rows[1][3:5] == ["4", "4"]
    for earlier, later in pairwise(rows[1:]):
        assert earlier[4] == later[3]
    respelled = next(row for row in rows if row[2] == "respell")
    assert respelled[3:5] == ["4", "6"]  # two Adds and an Identity for the Sum
    assert all(float(row[5]) >= 0 for row in rows[1:])
    assert [row[6:] for row in rows if row[2] == "hold_inputs"] == [["unchanged"]]


def test_shapes_that_are_measured_show_a_second_round(tmp_path: Path) -> None:
    body = """c = Conv(x, w) z = Abs(c) m = ReduceMax<keepdims=0>(z) n = Greater(m, low) b = Cast<to=7>(n)
        o = Unsqueeze(b, first) t = Concat<axis=0>(o, rest) h = Tile(c, t) g = GlobalAveragePool(h) y = Flatten(g)"""
    weights = {"low": np.float32(-1), "first": np.array([0]), "rest": np.array([1, 1, 1])}
    compile(parse(body, w=(5, 3, 3, 3), **weights), trace=tmp_path, verify=False)
    assert sum("infer_shapes" in name for name in names(tmp_path)) == 2


def test_where_a_pass_fails_the_trace_before_it_stays(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="random numbers"):
        compile(parse(RANDOM, w=(5, 3, 3, 3)), trace=tmp_path)
    before = len(FRONTEND) + [each.name for each in SIMPLIFY].index("refuse_nodes")
    assert names(tmp_path) == expected_names()[:before]
    last = (tmp_path / TABLE).read_text().splitlines()[-1]
    assert "refuse_nodes" in last
    assert "failed: " in last
    assert "RandomNormalLike" in last


def test_an_earlier_trace_is_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        compile(parse(RANDOM, w=(5, 3, 3, 3)), trace=tmp_path)
    compile(small_model(), trace=tmp_path)
    assert names(tmp_path) == expected_names()
    (tmp_path / "mine.onnx").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"found 'mine.onnx' in it"):
        compile(small_model(), trace=tmp_path)
    assert (tmp_path / "mine.onnx").read_bytes() == b"mine"
    assert names(tmp_path) == [*expected_names(), "mine.onnx"]


@pytest.mark.parametrize("name", [WEIGHTS, "01_frontend_accept_spellings.onnx"])
def test_what_only_looks_like_a_trace_is_not_deleted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=f"found '{name}' in it"):
        compile(small_model(), trace=tmp_path)
    assert (tmp_path / name).read_bytes() == b"mine"


def test_a_folder_is_made_and_no_more_than_one(tmp_path: Path) -> None:
    compile(small_model(), trace=tmp_path / "new", verify=False)
    assert len(names(tmp_path / "new")) > 30
    with pytest.raises(FileNotFoundError):
        compile(small_model(), trace=tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="expected a folder for the trace, found a file"):
        compile(small_model(), trace=tmp_path / "file")


def test_the_command_prints_the_table_also_of_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, trace = tmp_path / "model.onnx", tmp_path / "trace"
    onnx.save(small_model(), path)
    assert compile_cli.main([str(path), "--trace", str(trace)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith((trace / TABLE).read_text())
    assert "redundancy ratio" in printed
    onnx.save(parse(RANDOM, w=(5, 3, 3, 3)), path)
    assert compile_cli.main([str(path), "--trace", str(trace)]) == 2
    captured = capsys.readouterr()
    assert "failed: " in captured.out
    assert captured.err.startswith("krypton-compile: error: ")
    (trace / "mine").write_text("")
    assert compile_cli.main([str(path), "--trace", str(trace)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""  # not the table of the time before
    assert "found 'mine' in it" in captured.err
    assert not (tmp_path / "other").exists()


def test_a_trace_changes_nothing(tmp_path: Path) -> None:
    plain, traced = compile(small_model())[0], compile(small_model(), trace=tmp_path)[0]
    assert plain.SerializeToString(deterministic=True) == traced.SerializeToString(deterministic=True)
