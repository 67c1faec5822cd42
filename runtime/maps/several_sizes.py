"""Explanations of several patch sizes on one base pass, and the mean of their maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from krypton_compile.runtime.maps.draw import Pictured
from krypton_compile.runtime.maps.explanation import Explanation

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class SizesExplanation(Pictured):
    """One explanation a patch size, ``parts``, in the order of the sizes; its map is the mean of theirs."""

    parts: tuple[Explanation, ...]

    def __post_init__(self) -> None:
        first = self.parts[0]
        for name in Pictured.__annotations__:
            object.__setattr__(self, name, getattr(first, name))

    def __getattr__(self, name: str) -> object:
        raise AttributeError(f"explanations of several sizes have no {name!r} in common; take one of .parts")

    @property
    def exact(self) -> bool:
        """Whether nothing was left out of any of them."""
        return all(part.exact for part in self.parts)

    @property
    def seconds(self) -> float:
        """Of all of them together."""
        return sum(part.seconds for part in self.parts)

    def heatmap(self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None) -> Array:
        """float32 [H, W]: the mean of the parts' maps, over those that have a value at a pixel; NaN where none has.

        Raises:
            OcclusionError, ValueError: as :meth:`Explanation.heatmap`, or reduce "none" without upsampling: grids of
                different sizes have no mean.
        """
        if reduce == "none" and upsample is None:
            raise ValueError("reduce 'none' of several sizes: their grids differ; give upsample, or take one of .parts")
        maps = np.stack([part.heatmap(target, reduce=reduce, upsample=upsample) for part in self.parts])
        known = np.isfinite(maps)
        count = known.sum(axis=0)
        total = np.where(known, maps, 0).sum(axis=0, dtype=np.float64)
        return np.where(count == 0, np.nan, total / np.maximum(count, 1)).astype(np.float32)

    @property
    def meta(self) -> dict[str, Any]:
        """What was asked, and each part's own."""
        return {**self.parts[0]._answer(), "exact": self.exact, "parts": [part.meta for part in self.parts]}

    def setting(self) -> str:
        """The sizes in a few words."""
        return "mean of patches " + ", ".join(part.patch_text() for part in self.parts)

    def _panels(self, reduce: str, upsample: str | None) -> list[tuple[str, Array]]:
        if self.every:
            return super()._panels(reduce, upsample)
        each = [(f"patch {part.patch_text()}", part.heatmap(reduce=reduce, upsample=upsample)) for part in self.parts]
        return [("mean", self.heatmap(reduce=reduce, upsample=upsample)), *each]
