"""Files for CUDA: no Scan, no ShrinkBoxes, all boxes at once; exact in one run and through the runtime.

Here they run on the CPU: with its ops, or with the device's kernels where KRYPTON_OPS_LIBRARY names a library of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from krypton_compile import OcclusionSession, compile
from krypton_compile.contract.annotations import MODEL_KEY, read_model_annotation
from krypton_compile.errors import ModelError
from tests.support import field_networks
from tests.support.cuda_networks import NETWORKS
from tests.support.graphs import BOUND, compile_and_check, random_boxes, run_compiled


def ops_of(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_run_is_exact(name: str) -> None:
    compile_and_check(NETWORKS[name], target="cuda")


def test_signals_and_volumes() -> None:
    compile_and_check(field_networks.ecg_resnet(), layout="NCL", target="cuda")
    compile_and_check(field_networks.resnet18_3d((6, 20, 22)), layout="NCDHW", target="cuda")


def test_what_makes_a_device_wait_is_left_out() -> None:
    for_cuda, for_cpu = (compile(NETWORKS["residual"], target=target)[0] for target in ("cuda", "cpu"))
    assert not ops_of(for_cuda) & {"Scan", "ShrinkBoxes"}
    assert "Scan" in ops_of(for_cpu)
    annotations = {entry.key: entry.value for entry in for_cuda.metadata_props}
    assert read_model_annotation(annotations[MODEL_KEY]).target == "cuda"


def test_no_boxes_give_no_scores() -> None:
    compiled, _ = compile(NETWORKS["residual"], target="cuda")
    image = np.random.default_rng(0).standard_normal((1, 3, 45, 52)).astype(np.float32)
    feeds = {"x": image, "boxes": np.zeros((0, 4), np.int32), "baseline": np.zeros_like(image)}
    scores, base = run_compiled(compiled, feeds)[:2]
    assert scores.shape == (0, 5)
    assert base.shape == (1, 5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_runtime_gives_the_same(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    paths = {target: tmp_path / f"{target}.krypton.onnx" for target in ("cpu", "cuda")}
    sessions = {}
    for target, path in paths.items():
        compile(NETWORKS[name], path, target=target)
        sessions[target] = OcclusionSession(path)
    shape = sessions["cpu"].image_shape
    image = rng.standard_normal(shape).astype(np.float32)
    boxes = random_boxes((shape[2], shape[3]), rng, count=40)
    found = {target: session.score_boxes(image, boxes, 0.5) for target, session in sessions.items()}
    scale = np.abs(found["cpu"]).max()
    assert np.ptp(found["cpu"], axis=0).max() > 100 * BOUND * scale
    assert np.abs(found["cuda"] - found["cpu"]).max() <= 2 * BOUND * scale


def test_other_targets_are_refused() -> None:
    with pytest.raises(ModelError, match="target 'tpu': expected one of cpu, cuda"):
        compile(NETWORKS["gate"], target="tpu")
