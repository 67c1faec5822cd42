"""Sessions of the CUDA provider: what they refuse without one, and their way of running, here on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from krypton_compile import OcclusionSession, compile, get_library_path
from krypton_compile.cli.explain import main
from krypton_compile.errors import LibraryError, OcclusionError
from krypton_compile.runtime import Thresholds
from krypton_compile.runtime.engine import providers, sessions
from krypton_compile.runtime.engine.providers import CPU, CUDA
from krypton_compile.runtime.engine.split_file import split
from tests.support.graphs import parse, random_boxes

WITHOUT_CUDA = CUDA not in ort.get_available_providers()

NETWORK = parse(
    "a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) c = Flatten(b) y = Gemm<transB=1>(c, fw)",
    w1=(8, 3, 3, 3),
    fw=(5, 8 * 17 * 19),
)


def compiled(folder: Path, target: str) -> Path:
    path = folder / f"{target}.krypton.onnx"
    compile(NETWORK, path, target=target, preprocessing="none")
    return path


@pytest.mark.skipif(not WITHOUT_CUDA, reason="this onnxruntime has a CUDA provider")
def test_an_onnxruntime_without_the_provider_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compiled(tmp_path, "cuda")
    with pytest.raises(LibraryError, match=r"no CUDA provider.*pip install onnxruntime-gpu"):
        OcclusionSession(path, [CUDA, CPU])
    assert main([str(path), str(tmp_path / "no.png"), "--device", "cuda"]) == 2
    assert "pip install onnxruntime-gpu" in capsys.readouterr().err


@pytest.mark.skipif(not WITHOUT_CUDA, reason="this onnxruntime has a CUDA provider")
def test_a_machine_without_a_gpu_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = compiled(tmp_path, "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(LibraryError, match=r"No NVIDIA GPU is to be seen here: leave out --device cuda"):
        OcclusionSession(path, [CUDA, CPU])
    monkeypatch.setattr(providers, "sees_gpu", lambda: True)
    with pytest.raises(LibraryError, match="Replace it: pip uninstall onnxruntime"):
        OcclusionSession(path, [CUDA, CPU])


OPENVINO = "OpenVINOExecutionProvider"
PAGE = (
    "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /onnxruntime_src/onnxruntime/core/providers/"
    "openvino/ov_interface.cc:98 onnxruntime::openvino_ep::OVExeNetwork onnxruntime::openvino_ep::OVCore::CompileModel("
    "const std::string&, bool) Exception from src/inference/src/cpp/core.cpp:124: Unsupported operator krypton.BaseMap"
)


def test_a_provider_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=f"provider '{OPENVINO}': this onnxruntime .* has .*CPUExecutionProvider"):
        OcclusionSession(compiled(tmp_path, "cpu"), [OPENVINO, CPU])


def test_a_provider_that_does_not_take_the_ops_is_named_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments, **options):
        raise RuntimeError(PAGE)

    path = compiled(tmp_path, "cpu")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [OPENVINO, CPU])
    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(LibraryError) as raised:
        OcclusionSession(path, [(OPENVINO, {"device_type": "CPU"}), CPU])
    said = str(raised.value)
    assert f"onnxruntime's {OPENVINO} does not take the compiled model" in said
    assert "leave the other out" in said
    assert "Unsupported operator krypton.BaseMap" in said
    assert not any(part in said for part in ("::", ".cc", ".cpp", "/onnxruntime_src"))


def test_a_provider_that_did_not_start_is_named(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    session = ort.InferenceSession(str(compiled(tmp_path, "cpu")), options, providers=[CPU])
    with pytest.raises(LibraryError, match=r"could not start its CUDA provider.*nvidia-smi"):
        providers.check_started(session)


CAUSES = {
    "x.cc:154 CudaCall [with ERRTYPE = cudaError] CUDA failure 100: no CUDA-capable device is detected ; GPU=0 ; "
    "expr=cudaSetDevice(0);": "does not work here: CUDA failure 100: no CUDA-capable device is detected. Check",
    'x.cc:63 FAIL : Failed to parse provider option "device_id": x.cc:71 Invalid device ID: 7, must be between 0 '
    "(inclusive) and 1 (exclusive).": "does not work here: Invalid device ID: 7, must be between",
    "x.h:296 9 : NOT_IMPLEMENTED : cuDNN is unavailable or disabled for CUDA Execution Provider: dlopen failed for "
    "libcudnn.so": "does not work here: cuDNN is unavailable or disabled .* libcudnn.so. Check",
    "some other words": "does not work here: some other words. Check",
}


@pytest.mark.usefixtures("_as_if_on_a_gpu")
@pytest.mark.parametrize(("raised", "said"), CAUSES.items(), ids=["driver", "device", "cuDNN", "other"])
@pytest.mark.parametrize("when", ["start", "run"])
def test_a_provider_that_does_not_work_is_named(
    when: str, raised: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments, **options):
        raise RuntimeError(raised)

    path = compiled(tmp_path, "cuda")
    if when == "start":
        monkeypatch.setattr(ort, "InferenceSession", fail)
        with pytest.raises(LibraryError, match=said):
            OcclusionSession(path)
        return
    session = OcclusionSession(path)
    monkeypatch.setattr(sessions, "run_on_device", fail)
    image = np.zeros((1, 3, 17, 19), np.float32)
    with pytest.raises(OcclusionError, match="does not run on this image"):  # a convolution does run
        session.prepare(image)
    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(LibraryError, match=said):
        session.prepare(image)


def test_what_pip_installed_is_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = []

    def preload() -> None:
        print("Failed to load libcublas.so.13")
        loaded.append("all")

    monkeypatch.setattr(providers, "_check_available", lambda: None)
    monkeypatch.setattr(ort, "preload_dlls", preload, raising=False)
    providers.place([CPU])
    assert not loaded
    providers.place([CUDA, CPU])
    assert loaded == ["all"]
    assert not capsys.readouterr().out
    monkeypatch.delattr(ort, "preload_dlls")
    assert providers.place([CUDA, CPU]).cuda


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KRYPTON_OPS_LIBRARY", raising=False)
    with pytest.raises(LibraryError, match=r"libkrypton_ops_cuda.so.*KRYPTON_CUDA=ON"):
        get_library_path(cuda=True)


def test_devices_are_read() -> None:
    assert not providers.place(None).cuda
    assert providers.place([CPU]) == providers.place(None)
    with pytest.MonkeyPatch.context() as plain:
        plain.setattr(providers, "_check_available", lambda: None)
        assert providers.place([(CUDA, {"device_id": 1}), CPU]).gpu == 1
        assert providers.place([CUDA, CPU]).gpu == 0


def test_the_base_is_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_check_available", lambda: None)
    assert providers.place([CUDA, CPU]).providers == ((CUDA, {"use_tf32": "0"}), CPU)
    asked = (CUDA, {"device_id": 1, "use_tf32": "1"})
    assert providers.place([asked, CPU]).providers == (asked, CPU)
    assert providers.place([CPU]).providers == (CPU,)


@pytest.fixture
def _as_if_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's way with a GPU, the CPU in its place."""
    monkeypatch.setattr(sessions, "place", lambda chosen: providers.Placement((CPU,), 0))
    monkeypatch.setattr(sessions, "check_started", lambda session: None)
    monkeypatch.setattr(sessions, "get_library_path", lambda cuda: get_library_path())

    def run(session, outputs, feeds, device, number):
        assert device == "cuda"
        return providers.run_on_device(session, outputs, feeds, "cpu", number)

    monkeypatch.setattr(sessions, "run_on_device", run)
    monkeypatch.setattr(sessions, "send", lambda array, device, number: providers.send(array, "cpu", number))


LARGE = parse(  # weights that the file's two halves share, and such as only one of them has
    "a = Conv<pads=[1,1,1,1]>(x, w1) b = Relu(a) c = Conv<pads=[1,1,1,1]>(b, w2) d = Relu(c) e = Flatten(d) "
    "y = Gemm<transB=1>(e, fw)",
    w1=(64, 3, 3, 3),
    w2=(64, 64, 3, 3),
    fw=(5, 64 * 17 * 19),
)


@pytest.mark.usefixtures("_as_if_on_a_gpu")
@pytest.mark.parametrize("options", [None, ort.SessionOptions()], ids=["own", "given"])
def test_weights_and_maps_reach_the_device(options: ort.SessionOptions | None, tmp_path: Path) -> None:
    path = tmp_path / "large.krypton.onnx"
    compile(LARGE, path, target="cuda", preprocessing="none")
    parts = split(path)
    assert "w2" not in parts.base.weights
    assert "w2" in parts.incremental.weights
    rng = np.random.default_rng(0)
    image, boxes = rng.standard_normal((1, 3, 17, 19)).astype(np.float32), random_boxes((17, 19), rng)
    session = OcclusionSession(path, session_options=options)
    found = session.score_boxes(image, boxes, 0.5)
    again = session.score(
        session.prepare(image, 0.5), boxes, Thresholds(precision="bfloat16")
    ).scores  # another session
    with pytest.MonkeyPatch.context() as plain:
        plain.setattr(sessions, "place", providers.place)
        expected = OcclusionSession(path, precision="float32").score_boxes(
            image, boxes, 0.5
        )  # a GPU has no matrix tiles
    assert np.ptp(expected, axis=0).max() > 0.1 * np.abs(expected).max()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(again, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.usefixtures("_as_if_on_a_gpu")
def test_a_file_for_the_cpu_is_named(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 of its ops look at values on the CPU.*--target cuda"):
        OcclusionSession(compiled(tmp_path, "cpu"))


@pytest.mark.usefixtures("_as_if_on_a_gpu")
def test_what_all_chunks_read_is_sent_once_and_by_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, threads = [], []

    def send(array, device, number):
        sent.append((array.dtype, array.shape))
        return providers.send(array, "cpu", number)

    def run_chunk(self, work, at):
        threads.append(threading.get_ident())
        return plain(self, work, at)

    plain = sessions.Sessions.run_chunk
    monkeypatch.setattr(sessions, "send", send)
    monkeypatch.setattr(sessions.Sessions, "run_chunk", run_chunk)
    session = OcclusionSession(compiled(tmp_path, "cuda"))
    prepared = session.prepare(np.zeros((1, 3, 17, 19), np.float32))
    boxes = np.full((40, 4), 3)
    patches = np.random.default_rng(0).random((360, 3), np.float32)
    session.score(prepared, boxes, patches=patches, mask=np.ones(360, np.bool_), batch_size=10)
    assert len(threads) == 1 + 4  # the first call checks itself
    assert set(threads) == {threading.get_ident()}
    limits = [(np.dtype(np.float32), (1,))] * len(prepared.magnitudes)
    assert prepared.magnitudes
    expected = [*limits, (patches.dtype, patches.shape), (np.dtype(np.bool_), (360,)), *limits]
    assert sent == expected
