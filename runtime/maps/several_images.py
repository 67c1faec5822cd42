"""Explanations of several images, in their order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.several_sizes import SizesExplanation


class Explanations(list[Explanation | SizesExplanation]):
    """A list of explanations, one for each image of a batch or list; its map is the stack of theirs."""

    def heatmap(
        self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None
    ) -> npt.NDArray[np.float32]:
        """float32 [N, H, W]: the map of each image, of its own target where none is named.

        Raises:
            OcclusionError, ValueError: as :meth:`Explanation.heatmap`.
        """
        return np.stack([each.heatmap(target, reduce=reduce, upsample=upsample) for each in self])
