"""onnxruntime's own CUDA provider with our ops, on stand-ins for its libraries (scripts/check_placement.sh).

Twice: with the GPU's kernels run on the CPU, which compute, and with nvcc's library on memory that the host cannot
touch, whose kernels do not run. onnxruntime's own kernels compute in neither.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from PIL import Image

from krypton_compile import OcclusionSession, compile, get_library_path
from krypton_compile.cli.explain import main
from krypton_compile.contract.schemas import DOMAIN, SCHEMAS
from krypton_compile.errors import LibraryError
from krypton_compile.runtime import Preprocessing
from krypton_compile.runtime.engine import providers, sessions
from krypton_compile.runtime.engine.providers import CPU, CUDA, as_ort
from tests.ops.agreement import RELATIVE, agree
from tests.ops.cases import Case, cases, make_model
from tests.ops.limited import limited_cases
from tests.ops.running import feeds, run_reference
from tests.standins.log import FOLDER, GUARDED, recorded
from tests.support import field_networks
from tests.support.cuda_networks import NETWORKS
from tests.support.graphs import BOUND, random_boxes, random_regions
from tests.support.small import small_model

if FOLDER is None:
    pytest.skip("KRYPTON_STANDINS names no stand-ins for CUDA's libraries", allow_module_level=True)

providers.place([CUDA])  # loads the libraries, of which KRYPTON_OPS_LIBRARY may need CUDA's runtime

# onnxruntime's own kernels compute nothing, and the runtime notices.
pytestmark = pytest.mark.filterwarnings("ignore:.* windows? differed from the model:UserWarning")

CASES = cases()
CASES += list(limited_cases(CASES))
MODELS = {
    **{name: (model, "NCHW") for name, model in NETWORKS.items()},
    "signal": (field_networks.ecg_resnet(), "NCL"),
    "volume": (field_networks.resnet18_3d((6, 20, 22)), "NCDHW"),
}
ON_DEVICE = {schema.name for schema in SCHEMAS if schema.outputs[0].endswith(":float")}
BASE = {"BaseMap", "DeltaLimit"}
READS_ON_HOST = {("DeltaLimit", 1), ("IncrementalResample", 4), ("IncrementalResample", 6)}
"""Values that only the host reads: eps, and the weights beside a table's indices."""


def placed(session: ort.InferenceSession) -> Counter[tuple[str, str]]:
    """(provider, op) of all that ran, copies between devices among it."""
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    found = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    return Counter((each["provider"], each["op_name"]) for each in found)


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sessions that write where their nodes ran."""
    plain, made = sessions._default_options, []

    def options(threads: int) -> ort.SessionOptions:
        made.append(plain(threads))
        made[-1].enable_profiling = True
        made[-1].profile_file_prefix = str(tmp_path / f"profile{len(made)}")
        return made[-1]

    monkeypatch.setattr(sessions, "_default_options", options)


def opened(name: str, folder: Path, *wanted: str) -> OcclusionSession:
    model, layout = MODELS[name]
    path = folder / f"{name}.krypton.onnx"
    if not path.exists():
        compile(model, path, target="cuda", layout=layout)
    return OcclusionSession(path, wanted, precision="float32")


def boxes_of(session: OcclusionSession) -> np.ndarray:
    rng = np.random.default_rng(5)
    size = session.spatial
    return random_boxes((size[0], size[1]), rng) if len(size) == 2 else random_regions(size, rng)


def image_of(session: OcclusionSession) -> np.ndarray:
    return np.random.default_rng(4).standard_normal(session.image_shape).astype(np.float32)


def of_our_ops(part: bytes) -> bytes:
    """The incremental part up to where onnxruntime's own ops, which compute nothing here, take over from ours."""
    model = onnx.ModelProto.FromString(part)
    graph = model.graph
    ours = [node for node in graph.node if node.domain == DOMAIN]
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    kept = []
    for node in ours:  # in order
        if known.issuperset(node.input):
            kept.append(node)
            known.update(node.output)
    read = {name for node in kept for name in node.input}
    ends = [node.output[0] for node in kept if node.op_type in ON_DEVICE and node.output[0] not in read]
    del graph.node[:], graph.output[:]
    graph.node.extend(kept)
    graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ends)
    return model.SerializeToString()


def chunk_of(session: OcclusionSession, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """All that a session of the CPU gives its incremental part for one chunk."""
    given = []
    halves = session.scorer.sessions
    plain = halves.run

    def run(ran, outputs, feeds, stay=False):
        if ran is halves.incremental:
            given.append({name: value.numpy().copy() for name, value in feeds.items()})
        return plain(ran, outputs, feeds, stay)

    monkeypatch.setattr(halves, "run", run)
    session.score(session.prepare(image_of(session), 0.5), boxes_of(session))
    return given[-1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ops_run_where_they_should(case: Case) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.register_custom_ops_library(get_library_path(cuda=True))
    model = make_model(case)
    session = ort.InferenceSession(model.SerializeToString(), options, [CUDA, CPU], enable_fallback=False)
    [part] = session.get_provider_graph_assignment_info()
    assert part.ep_name == (CUDA if case.op in ON_DEVICE else CPU)
    places = {
        value.name: memory.name
        for value, memory in zip(session.get_inputs(), session.get_input_memory_infos(), strict=True)
    }
    for index, array in enumerate(case.inputs):
        if array is None or case.op not in ON_DEVICE:
            continue
        values = array.dtype in (np.float32, np.bool_) and (case.op, index) not in READS_ON_HOST
        assert places[f"i{index}"] == ("Cuda" if values else "Cpu"), index
    with recorded() as calls:
        found = session.run(None, feeds(case))
    assert not [call for call in calls if call.startswith("refused")]
    expected = [np.asarray(array) for array in run_reference(case)]
    if not GUARDED:
        precision = str(case.attributes.get("precision", "float32"))
        for one, other in zip(found, expected, strict=True):
            agree(one, other, RELATIVE["bfloat16" if precision == "bfloat16" else "float32"])
    assert [one.shape for one in found] == [other.shape for other in expected]


@pytest.mark.usefixtures("profiled")
@pytest.mark.parametrize("name", MODELS)
def test_values_stay_on_the_device(name: str, tmp_path: Path) -> None:
    session = opened(name, tmp_path, CUDA, CPU)
    prepared = session.prepare(image_of(session), 0.5)
    assert {value.device_name() for value in prepared.feeds.values()} == {"cuda"}
    for each in (session.scorer.sessions.base, session.scorer.sessions.incremental):
        assert each.get_provider_options()[CUDA]["use_tf32"] == "0"
    session.score(prepared, boxes_of(session))
    base, incremental = map(placed, (session.scorer.sessions.base, session.scorer.sessions.incremental))
    assert {op for provider, op in base if provider == CUDA} >= BASE
    assert not [op for provider, op in base if provider != CUDA]
    assert not [op for _, op in (*base, *incremental) if op.startswith("Memcpy")]
    boxes = {schema.name for schema in SCHEMAS} - ON_DEVICE
    assert {op for provider, op in incremental if provider != CUDA} <= boxes
    assert {op for provider, op in incremental if provider == CUDA} & boxes == set()
    assert {"OcclusionDelta", "IncrementalConv"} <= {op for _, op in incremental}


@pytest.mark.parametrize("name", MODELS)
def test_nothing_waits_between_layers(name: str, tmp_path: Path) -> None:
    session = opened(name, tmp_path, CUDA, CPU)
    prepared, boxes = session.prepare(image_of(session), 0.5), boxes_of(session)
    for _ in range(2):  # what is allocated and packed once
        session.score(prepared, boxes, batch_size=5)
    with recorded() as sent:
        session.score(prepared, boxes[:0], batch_size=5)
    with recorded() as calls:
        session.score(prepared, boxes, batch_size=5)
    assert not [call for call in calls if call.startswith(("refused", "cudaMalloc", "cudaFree", "cudaStreamCreate"))]
    assert not [call for call in calls if call in ("cublasCreate_v2", "cudnnCreate")]
    # A chunk ends with its scores on their way to the host; then, and only then, the host waits.
    assert calls[: len(sent)] == sent
    chunks = "\n".join(calls[len(sent) :]).split("cudaMemcpyAsync DeviceToHost\n")
    assert len(chunks) == 1 + -(-int(session.changes(prepared, boxes).sum()) // 5)
    assert set(chunks.pop().splitlines()) == {"cudaStreamSynchronize"}
    for chunk in chunks:
        lines = chunk.splitlines()
        while lines[0] == "cudaStreamSynchronize":
            lines.pop(0)
        assert not [line for line in lines if line.endswith("Synchronize") or line.startswith("cudaMemcpy ")]
        launches = [line.split(" ", 2)[1:] for line in lines if line.startswith("launch ")]
        assert not GUARDED or sum("krypton::" in kernel for _, kernel in launches) >= 2
        # One stream for our kernels and onnxruntime's, and not the default one, for which no other waits.
        streams = {stream for stream, _ in launches}
        assert len(streams) == 1
        assert "0" not in streams
        assert not [line for line in lines if line.endswith("on the default stream")]


@pytest.mark.skipif(GUARDED, reason="the kernels do not run")
@pytest.mark.parametrize("name", MODELS)
def test_base_maps_reach_the_device(name: str, tmp_path: Path) -> None:
    """Those of the image and the baseline, which none of onnxruntime's kernels makes."""
    sessions = [opened(name, tmp_path, CPU), opened(name, tmp_path, CUDA, CPU)]
    on_cpu, on_gpu = (session.prepare(image_of(session), 0.5).feeds for session in sessions)
    assert list(on_cpu) == list(on_gpu)
    for tensor in (sessions[0].annotation.image, sessions[0].annotation.baseline):
        [found] = (value.numpy() for key, value in on_gpu.items() if key == f"{tensor}.base_map")
        assert np.ptp(found) > 0 or tensor == sessions[0].annotation.baseline
        np.testing.assert_array_equal(found, on_cpu[f"{tensor}.base_map"].numpy())


@pytest.mark.skipif(GUARDED, reason="the kernels do not run")
@pytest.mark.parametrize("name", MODELS)
def test_our_part_computes_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu, on_gpu = opened(name, tmp_path, CPU), opened(name, tmp_path, CUDA, CPU)
    given = chunk_of(on_cpu, monkeypatch)
    found = []
    for session in (on_cpu, on_gpu):
        halves = session.scorer.sessions
        ours = halves.start_incremental(of_our_ops(halves.incremental_part))
        names = [value.name for value in ours.get_outputs()]
        assert names
        wanted = {value.name: as_ort(given[value.name]) for value in ours.get_inputs()}
        if session is on_gpu:
            for value, memory in zip(ours.get_inputs(), ours.get_input_memory_infos(), strict=True):
                if memory.name == "Cuda":
                    wanted[value.name] = providers.send(given[value.name], "cuda", 0)
        found.append([value.numpy() for value in ours.run_with_ort_values(names, wanted)])
    for one, other in zip(*found, strict=True):
        assert np.abs(other).max() > 0
        assert np.abs(one - other).max() <= BOUND * np.abs(other).max()


def test_explain_runs_on_the_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.krypton.onnx"
    compile(small_model(), path, target="cuda", preprocessing=Preprocessing(scale=255.0))
    Image.fromarray(np.full((30, 36, 3), 90, np.uint8)).save(tmp_path / "scan.png")
    asked = ["--patch-size", "6", "--stride", "3", "--output-dir", str(tmp_path)]
    with recorded() as calls:
        code = main([str(path), str(tmp_path / "scan.png"), "--device", "cuda", *asked])
    assert code == 0, capsys.readouterr().err
    assert (tmp_path / "scan_heatmap.npy").is_file()
    assert "cudnnBackendExecute" in calls
    assert not [call for call in calls if call.startswith("refused")]


def test_a_device_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.krypton.onnx"
    compile(small_model(), path, target="cuda", preprocessing="none")
    with pytest.raises(LibraryError, match="does not work here: Invalid device ID: 7"):
        OcclusionSession(path, [(CUDA, {"device_id": 7}), CPU])
    monkeypatch.setenv("KRYPTON_STANDIN_ABSENT", "1")
    with pytest.raises(LibraryError, match="CUDA failure 100: no CUDA-capable device is detected"):
        OcclusionSession(path, [CUDA, CPU])
