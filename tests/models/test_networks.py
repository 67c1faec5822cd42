"""The torch networks: the same for the same seed, and a patch moves their logits far more than rounding does."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

torch = pytest.importorskip("torch")

from models.export import export  # noqa: E402
from models.torch_models import IMAGE_SIZES, build, textures  # noqa: E402

# float32 sums in another order move the logits by up to 3e-6 of their maximum; the product's bound is 1e-5.
PATCH_EFFECT = 1e-3
PICTURE_EFFECT = 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGE_SIZES)
def test_pictures_and_patches_move_the_logits(name):
    torch.manual_seed(1)
    size = IMAGE_SIZES[name]
    first, second = textures(2, size)
    occluded = first.clone()
    occluded[:, size // 3 : size // 3 + 16, size // 2 : size // 2 + 16] = 0
    with torch.no_grad():
        base, other, changed = build(name)(torch.stack([first, second, occluded]))
    largest = base.abs().max()
    assert base.shape == (1000,)
    assert (other - base).abs().max() > PICTURE_EFFECT * largest
    assert (changed - base).abs().max() > PATCH_EFFECT * largest


def test_a_seed_gives_the_same_weights_and_leaves_torchs_own_state_alone():
    state = torch.get_rng_state()
    first, again, other = (build("resnet18", seed, num_classes=7) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [
        torch.cat([value.flatten().double() for value in net.state_dict().values()]) for net in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not first.training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exporter", "opset", "dynamic_batch"), [("torchscript", None, True), ("dynamo", None, True), ("dynamo", 20, False)]
)
def test_exports_are_one_file_that_says_what_torch_says(exporter, opset, dynamic_batch, tmp_path):
    export("resnet18", tmp_path / "net.onnx", exporter, opset, dynamic_batch)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert onnx.load(tmp_path / "net.onnx").opset_import[0].version == (
        opset or {"torchscript": 17, "dynamo": 18}[exporter]
    )
    session = ort.InferenceSession(tmp_path / "net.onnx")
    taken, given = session.get_inputs()[0], session.get_outputs()[0]
    assert (taken.name, given.name) == ("input", "output")
    assert isinstance(taken.shape[0], str) == dynamic_batch
    torch.manual_seed(1)
    images = textures(3 if dynamic_batch else 1, 224)
    with torch.no_grad():
        expected = build("resnet18")(images).numpy()
    found = session.run(None, {"input": images.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_unknown_networks_and_exporters_are_named(tmp_path):
    with pytest.raises(ValueError, match="network 'resnet'; expected one of vgg16, resnet18"):
        export("resnet", tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="exporter 'jit'; expected one of torchscript, dynamo"):
        export("resnet18", tmp_path / "net.onnx", "jit")
