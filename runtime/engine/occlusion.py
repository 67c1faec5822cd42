"""The hidden parts of an image, and what shows there, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry
from krypton_compile.contract.geometry import Boxes
from krypton_compile.contract.occlude import occlude
from krypton_compile.runtime.by_value import ByValue
from krypton_compile.runtime.inputs import arrays

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Occlusion(ByValue):
    """Boxes of an image, and what shows inside them.

    Attributes:
        boxes: int32 [P, 4], rows (y0, x0, h, w) inside the image; [P, 2n] of n spatial axes: all starts, then all
            sizes. An empty box hides nothing.
        patches: float32 [sum of h*w, C], the pixels of each box, row by row; the baseline's show when None.
        mask: bool [sum of h*w], which pixels of each box are replaced; all when None.
    """

    boxes: Boxes
    patches: Array | None = None
    mask: npt.NDArray[np.bool_] | None = None

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """int64 [P + 1]: where the pixels of each box begin in ``patches`` and ``mask``."""
        return geometry.row_offsets(self.boxes)

    def applied(self, row: int, image: Array, baseline: Array, layout: str) -> Array:
        """The image with the pixels of one box replaced, those of ``baseline`` where the box has none of its own."""
        rows = slice(self.offsets[row], self.offsets[row + 1])
        shown = baseline if self.patches is None else self.patches[rows]
        mask = None if self.mask is None else self.mask[rows]
        return occlude(image, self.boxes[row : row + 1], shown, layout, mask)


def read_occlusion(
    boxes: npt.ArrayLike,
    spatial: tuple[int, ...],
    channels: int,
    patches: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
) -> Occlusion:
    """Check what a caller wants hidden of images with these spatial sizes and channels.

    Raises:
        OcclusionError: if ``boxes``, ``patches`` or ``mask`` have another dtype or shape, a box leaves the image, or a
            patch is not finite.
    """
    checked = arrays.check_boxes(boxes, spatial)
    rows = int(geometry.areas(checked).sum())
    return Occlusion(
        checked,
        None if patches is None else arrays.check_rows(patches, "patches", np.float32, (rows, channels)),
        None if mask is None else arrays.check_rows(mask, "mask", np.bool_, (rows,)),
    )
