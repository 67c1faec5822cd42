"""Any model opens as a session: compiled files, exports, bytes and protos; what is none of them is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile import OcclusionSession, open_session
from krypton_compile.errors import ModelError
from krypton_compile.opening import Export, open_compiled
from tests.support.small import small_model

OPTIONS = {"patch_size": 6, "stride": 5}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KRYPTON_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "kind", ["compiled", "path", "text", "bytes", "proto", "compiled bytes", "compiled proto", "compiled bytearray"]
)
def test_the_same_scores_from_everything(kind: str, compiled: Path, image: np.ndarray, tmp_path: Path) -> None:
    proto = small_model()
    onnx.save(proto, tmp_path / "small.onnx")
    model = {
        "compiled": compiled,
        "path": tmp_path / "small.onnx",
        "text": str(tmp_path / "small.onnx"),
        "bytes": proto.SerializeToString(),
        "proto": proto,
        "compiled bytes": compiled.read_bytes(),
        "compiled bytearray": bytearray(compiled.read_bytes()),
        "compiled proto": onnx.ModelProto.FromString(compiled.read_bytes()),
    }[kind]
    expected = OcclusionSession(compiled, threads=1).explain(image, **OPTIONS).scores
    np.testing.assert_array_equal(open_session(model, threads=1).explain(image, **OPTIONS).scores, expected)


def test_a_model_is_compiled_once(tmp_path: Path) -> None:
    onnx.save(small_model(), tmp_path / "small.onnx")
    first, second = (open_compiled(tmp_path / "small.onnx") for _ in range(2))
    assert (first.compiled, second.compiled) == (True, False)
    assert first.path == second.path
    assert open_compiled(first.path).compiled is None


def test_what_the_export_leaves_open_is_said() -> None:
    model = small_model()
    for axis, name in ((2, "h"), (3, "w")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    with pytest.raises(ModelError, match="--image-size"):
        open_session(model)
    for said in ({"export": Export(image_size=(20, 24))}, {"image_size": (20, 24)}):
        assert open_session(model, **said).image_size == (20, 24)


def test_pictures_and_classes_are_described(compiled: Path) -> None:
    labels = [f"class {index}" for index in range(open_session(compiled).classes)]
    session = open_session(compiled, preprocessing="unit", labels=labels)
    assert session.labels == tuple(labels)
    assert session.preprocessing is not None
    assert session.preprocessing.scale == 255


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"of type list; expected a path, bytes, an onnx\.ModelProto or a torch mod"):
        open_session([])  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="device 'tpu'; expected one of cpu, cuda"):
        open_session(tmp_path / "small.onnx", device="tpu")
    with pytest.raises(ModelError, match=r"(?i)no such file"):
        open_session(tmp_path / "none.onnx")
