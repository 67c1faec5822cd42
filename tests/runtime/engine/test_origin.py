"""Sessions from files, bytes and protos; closed, copied, and sent to other processes."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from krypton_compile import compile
from krypton_compile.errors import ModelError, OcclusionError
from krypton_compile.runtime import OcclusionSession, Preprocessing
from tests.support.small import small_model

OPTIONS = {"patch_size": 6, "stride": 5}


@pytest.mark.parametrize("kind", ["proto", "bytes", "bytearray", "text"])
def test_a_model_need_not_be_a_file(kind: str, compiled: Path, image: np.ndarray) -> None:
    content = compiled.read_bytes()
    model = {
        "proto": onnx.ModelProto.FromString(content),
        "bytes": content,
        "bytearray": bytearray(content),
        "text": str(compiled),
    }[kind]
    expected = OcclusionSession(compiled, threads=1).explain(image, **OPTIONS).scores
    np.testing.assert_array_equal(OcclusionSession(model, threads=1).explain(image, **OPTIONS).scores, expected)


def large_model() -> onnx.ModelProto:
    """A network with weights beyond what is kept inside a session's model."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((64, 3 * 16 * 16)).astype(np.float32) / 30
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)],
        "large",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_large_weights_are_read_from_memory(tmp_path: Path) -> None:
    model, _ = compile(large_model(), tmp_path / "large.krypton.onnx")
    image = np.random.default_rng(1).standard_normal((1, 3, 16, 16)).astype(np.float32)
    expected = OcclusionSession(tmp_path / "large.krypton.onnx").explain(image, **OPTIONS).scores
    for given in (model, model.SerializeToString()):
        session = OcclusionSession(given)
        np.testing.assert_array_equal(session.explain(image, **OPTIONS).scores, expected)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        again = OcclusionSession(given, session_options=options)
        np.testing.assert_allclose(again.explain(image, **OPTIONS).scores, expected, atol=1e-5)


def test_what_is_no_compiled_model_is_refused(compiled: Path) -> None:
    with pytest.raises(ModelError, match=r"<compiled model>: this is an ONNX model, but not a compiled one"):
        OcclusionSession(small_model())
    with pytest.raises(ModelError, match="5 bytes: expected an ONNX model"):
        OcclusionSession(b"12345")
    with pytest.raises(ModelError, match="expected an ONNX model"):
        OcclusionSession(compiled.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"type list; expected the path of a compiled file, its bytes.*open_session"):
        OcclusionSession([1])  # type: ignore[arg-type]


def test_weights_beside_bytes_are_asked_for_by_path(tmp_path: Path) -> None:
    model, _ = compile(large_model())
    onnx.save_model(model, tmp_path / "a.onnx", save_as_external_data=True, location="a.data", size_threshold=0)
    with pytest.raises(ModelError, match="lie in another file; give the model's path"):
        OcclusionSession((tmp_path / "a.onnx").read_bytes())


def test_a_closed_session_says_so(compiled: Path, image: np.ndarray) -> None:
    with OcclusionSession(compiled, threads=1) as session:
        described = session.described(labels=[f"class {index}" for index in range(session.classes)])
        before = session.explain(image, **OPTIONS).scores
    uses = (
        lambda: session.explain(image, **OPTIONS),
        lambda: session.score_boxes(image, [[0, 0, 1, 1]]),
        lambda: session.image_size,
        session.described,
        lambda: pickle.dumps(session),
    )
    for use in uses:
        with pytest.raises(OcclusionError, match=rf"session of {compiled} is closed; open the model again"):
            use()
    session.close()  # once more does nothing
    np.testing.assert_array_equal(described.explain(image, **OPTIONS).scores, before)


def explain(session: OcclusionSession, image: np.ndarray) -> tuple[int, tuple[str, ...] | None, np.ndarray]:
    return os.getpid(), session.labels, session.explain(image, **OPTIONS).scores


def test_sessions_go_to_other_processes(compiled: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(compiled.parent)
    session = OcclusionSession(compiled.name, threads=1).described(Preprocessing(scale=9.0), ["a", "b", "c", "d", "e"])
    expected = session.explain(image, **OPTIONS).scores
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        process, labels, scores = pool.submit(explain, session, image).result()
    assert process != os.getpid()
    assert labels == session.labels
    np.testing.assert_array_equal(scores, expected)


def test_copies_are_opened_with_the_same_options(compiled: Path, image: np.ndarray, tmp_path: Path) -> None:
    labels = ["a", "b", "c", "d", "e"]
    given = {"threads": 1, "precision": "float32", "preprocessing": Preprocessing(scale=9.0), "labels": labels}
    for model in (compiled, compiled.read_bytes()):
        session = OcclusionSession(model, **given)
        for twin in (copy.deepcopy(session), copy.copy(session), pickle.loads(pickle.dumps(session))):
            assert twin.scorer.sessions is not session.scorer.sessions
            assert (twin.threads, twin.precision, twin.preprocessing) == (1, "float32", session.preprocessing)
            assert twin.labels == tuple(labels)
            np.testing.assert_array_equal(
                twin.explain(image, **OPTIONS).scores, session.explain(image, **OPTIONS).scores
            )


def test_options_that_cannot_be_pickled_are_named(compiled: Path) -> None:
    session = OcclusionSession(compiled, session_options=ort.SessionOptions())
    with pytest.raises(TypeError, match=r"session_options cannot be pickled.*give threads and providers"):
        pickle.dumps(session)
