"""What benchmarks of whole maps are run on: one model, one real picture as its input, and the black occluder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from krypton_compile.contract.preprocessing import PRESETS
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from models.fetch import MANIFEST, fetch
from models.preprocess import LAYOUTS, RECIPES, SIZES

Images = npt.NDArray[np.float32]

PATCH, STRIDE = 16, 4

# Networks with random weights; the file is exported from the torch model, so torch runs the same one.
TORCH_MODELS = (
    *("vgg16", "resnet18", "inception_v3", "densenet121", "mobilenet_v2"),
    *("resnet18_sparse", "inception_v3_sparse", "densenet121_sparse"),
)


@dataclass(frozen=True)
class Subject:
    """One model and one real picture as its input, with the black occluder; ``torch_name`` where torch has it too."""

    name: str
    path: Path
    image: Images
    baseline: Images
    layout: str
    torch_name: str | None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.image.shape[1:3] if self.layout == "NHWC" else self.image.shape[2:4]
        return height, width


def subject(name: str) -> Subject:
    """The model ``name`` of the manifest or of models/torch_models.py, with a photograph or a brain slice."""
    if name in RECIPES:
        recipe, size, layout, path = RECIPES[name], SIZES[name], LAYOUTS[name], fetch(name)
    else:
        from models.export import exported
        from models.torch_models import IMAGE_SIZES

        recipe, size, layout, path = PRESETS["imagenet"], (IMAGE_SIZES[name],) * 2, "NCHW", exported(name)
    # The brain tumour network is the one with class labels of its own.
    picture = fetch("mri_sample" if "labels" in MANIFEST.get(name, {}) else "photo_sample")
    image = prepare(picture, recipe, size, layout=layout).tensor
    baseline = baseline_input("black", recipe, size, layout=layout)
    return Subject(name, path, image, baseline, layout, None if name in RECIPES else name)
