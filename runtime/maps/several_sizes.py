"""Explanations of several patch sizes on one base pass, and the mean of their maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.runtime.maps.answer import Answer
from krypton_compile.runtime.maps.explanation import Explanation

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, repr=False, eq=False)
class SizesExplanation(Answer):
    """One explanation a patch size, ``parts``, in the order of the sizes; its map is the mean of theirs."""

    parts: tuple[Explanation, ...]

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"explanations of several sizes have no {name!r} in common; take one of .parts")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The sizes of the input's spatial axes: (L,), (H, W) or (D, H, W)."""
        return self.parts[0].image_shape

    @property
    def exact(self) -> bool:
        """Whether nothing was left out of any of them."""
        return all(part.exact for part in self.parts)

    @property
    def seconds(self) -> float:
        """The time of all parts together."""
        return sum(part.seconds for part in self.parts)

    def heatmap(self, target: int | str | None = None, *, reduce: str = "mean", upsample: str | None = None) -> Array:
        """float32 [H, W]: the mean of the parts' maps, over those that have a value at a pixel; NaN where none has.

        Raises:
            OcclusionError: if ``target`` names no class, or one whose scores were not kept.
            ValueError: as :meth:`Explanation.heatmap`, or if ``reduce`` is "none" without upsampling: grids of
                different sizes have no mean.
        """
        if validate.is_one_of(reduce, ("none",)) and upsample is None:
            raise ValueError("reduce 'none' of several sizes: their grids differ; give upsample, or take one of .parts")
        maps = np.stack([part.heatmap(target, reduce=reduce, upsample=upsample) for part in self.parts])
        known = np.isfinite(maps)
        count = known.sum(axis=0)
        total = np.where(known, maps, 0).sum(axis=0, dtype=np.float64)
        return np.where(count == 0, np.nan, total / np.maximum(count, 1)).astype(np.float32)

    @property
    def meta(self) -> dict[str, Any]:
        """The request, and each part's own result, ready for JSON."""
        return {**self.common_meta(), "exact": self.exact, "parts": [part.meta for part in self.parts]}

    def setting(self) -> str:
        """The sizes in a few words."""
        return "mean of patches " + ", ".join(part.patch_text() for part in self.parts)

    def panels(self, reduce: str = "mean", upsample: str | None = None) -> list[tuple[str, Array]]:
        """The maps that a figure shows, a title each: the mean, and that of each size."""
        if self.every:
            return super().panels(reduce, upsample)
        each = [(f"patch {part.patch_text()}", part.heatmap(reduce=reduce, upsample=upsample)) for part in self.parts]
        return [("mean", self.heatmap(reduce=reduce, upsample=upsample)), *each]

    def facts(self) -> list[tuple[str, str]]:
        """The facts worth telling, a name and a text each."""
        rows = [(f"patch {part.patch_text()}", part.windows.describe()) for part in self.parts]
        kind = "exact" if self.exact else "approximate"
        return [*self.common_facts(), *rows, ("result", kind), ("time", f"{self.seconds:.2f} s")]
