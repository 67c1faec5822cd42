"""Make a map of pixels from the values of windows.

With v_p the value of window p:

    mean   M[y, x] = sum of v_p over {p : (y, x) in box p} / #{p : (y, x) in box p}        (Captum's formula)
    sum    the same without the division (Xplique's)
    none   the grid of the v_p, one a window; resampled to the image's pixels it is MATLAB's map

NaN where no window covers a pixel. Regions of a label map do not overlap: each pixel has its region's value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import validate
from krypton_compile.contract.layouts import KINDS
from krypton_compile.contract.occlude import leave_image
from krypton_compile.runtime.inputs.windows import Windows, inside

REDUCTIONS = ("mean", "sum", "none")
UPSAMPLINGS = ("nearest", "bilinear", "bicubic")
_DEGREES = {"bilinear": 1, "bicubic": 3}

Array = npt.NDArray[np.float32]


def make_map(values: Array, windows: Windows, reduce: str = "mean", upsample: str | None = None) -> Array:
    """Make the map of ``values`` [rows, columns]: float32 [H, W]; [rows, columns] for "none" that is not upsampled.

    Signals and volumes likewise, but for upsampling. NaN outside of a region of interest.

    Raises:
        ValueError: if ``reduce`` or ``upsample`` is unknown, or what already has a value a pixel is to be upsampled.
    """
    validate.require_one_of("reduce", reduce, REDUCTIONS)
    if upsample is not None:
        validate.require_one_of("upsample", upsample, UPSAMPLINGS)
    if upsample is not None and reduce != "none":
        raise ValueError(f"upsample {upsample!r} with reduce {reduce!r}; only the grid of reduce='none' is upsampled")
    if upsample is not None and windows.roi is not None and windows.regions is None:
        raise ValueError(
            f"upsample {upsample!r} of a region of interest: it depends on windows beyond it; "
            "take reduce 'mean' or 'sum', or no roi"
        )
    if upsample is not None and len(windows.image_shape) != 2:
        kind = KINDS[len(windows.image_shape)]
        raise ValueError(f"upsample {upsample!r}: grids of pictures are upsampled, not of a {kind}; take reduce 'mean'")
    if reduce == "none" and upsample is None:
        return values.astype(np.float32)
    if windows.regions is not None:
        heatmap = _of_regions(values.ravel(), windows)
    elif upsample is not None:
        heatmap = _upsampled(values, windows, upsample)
    else:
        heatmap = accumulate(values.ravel(), windows.boxes, windows.image_shape, mean=reduce == "mean")
    return _inside(heatmap, windows)


def upsampling(reduce: str, upsample: str | None) -> str | None:
    """The upsampling that gives a map one value a pixel: "nearest" for a grid, where none is named."""
    if upsample is None:
        return "nearest" if validate.is_one_of(reduce, ("none",)) else None
    return upsample


def count_windows(windows: Windows) -> npt.NDArray[np.int64]:
    """Count the windows that cover each pixel: int64 [H, W], and likewise of signals and volumes."""
    if windows.regions is not None and windows.labels is not None:
        return np.isin(windows.regions, windows.labels).astype(np.int64)
    cover = _coverer(windows.boxes, windows.image_shape)
    return np.rint(cover(np.ones(len(windows.boxes)))).astype(np.int64)


def accumulate(
    values: npt.ArrayLike, boxes: npt.NDArray[np.int32], image_shape: tuple[int, ...], *, mean: bool = True
) -> Array:
    """Take the mean, or sum, of ``values`` [P] over the ``boxes`` [P, 4] that cover each pixel; NaN where none does.

    Each box is four corner entries of a difference array whose two cumulative sums are its
    indicator, so the cost is P + H*W whatever the boxes' sizes; of signals it is two entries and
    one sum, of volumes eight and three. Sums are float64. Where every
    covering value is exactly zero the map is too: the sums' rounding residue is cut off.

    Raises:
        ValueError: if shapes do not match, a box leaves the image, or a value is NaN or infinite.
    """
    value = np.asarray(values, np.float64)
    axes = len(image_shape)
    if value.ndim != 1 or boxes.shape != (len(value), 2 * axes):
        raise ValueError(f"values {list(value.shape)} and boxes {list(boxes.shape)}; expected [P] and [P, {2 * axes}]")
    if not np.isfinite(value).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(value))} of {len(value)} values are NaN or Inf")
    outside = leave_image(boxes, image_shape)
    if outside.any():
        first = int(np.argmax(outside))
        pixels = " x ".join(map(str, image_shape))
        raise ValueError(f"box {first} = {boxes[first].tolist()} leaves the image of {pixels} pixels")
    cover = _coverer(boxes, image_shape)
    count = cover(np.ones(len(value)))
    changing = cover((value != 0).astype(np.float64))
    total = np.where(changing == 0, 0.0, cover(value))
    return np.where(count == 0, np.nan, total / np.maximum(count, 1) if mean else total).astype(np.float32)


def _coverer(
    boxes: npt.NDArray[np.int32], image_shape: tuple[int, ...]
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Make the function that sums weights [P] over the boxes that cover each pixel: float64 of the image's shape."""
    padded = tuple(size + 1 for size in image_shape)
    starts, sizes = np.split(boxes.astype(np.int64), 2, axis=1)
    ends = list(product((0, 1), repeat=len(image_shape)))  # of each corner, whether it is the end of an axis
    corners = np.concatenate([np.ravel_multi_index(tuple((starts + sizes * end).T), padded) for end in ends])

    def cover(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        signed = np.concatenate([-weight if sum(end) % 2 else weight for end in ends])
        steps = np.bincount(corners, signed, minlength=math.prod(padded)).reshape(padded)
        for axis in range(len(padded)):
            steps = steps.cumsum(axis=axis)
        return np.asarray(steps[tuple(slice(size) for size in image_shape)])

    return cover


def _of_regions(values: Array, windows: Windows) -> Array:
    assert windows.regions is not None and windows.labels is not None
    at = np.minimum(np.searchsorted(windows.labels, windows.regions), len(windows.labels) - 1)
    known = windows.labels[at] == windows.regions
    return np.where(known, values[at], np.nan).astype(np.float32)


def _upsampled(values: Array, windows: Windows, how: str) -> Array:
    """Values at the windows' centres, resampled to every pixel inside the windows' hull; NaN beyond it.

    Beyond the outermost centres they stay as they are there. A grid of too few windows for a cubic is
    interpolated to the degree that it has.
    """
    boxes = windows.boxes.reshape(*windows.shape, 4).astype(np.float64)
    axes = (boxes[:, 0, 0::2], boxes[0, :, 1::2])  # (start, extent) along each axis
    centres = [axis[:, 0] + (axis[:, 1] - 1) / 2 for axis in axes]
    pixels = [np.arange(size, dtype=np.float64) for size in windows.image_shape]
    if how == "nearest":
        rows, columns = (
            np.abs(pixel[:, None] - centre[None]).argmin(axis=1) for pixel, centre in zip(pixels, centres, strict=True)
        )
        resampled = values[np.ix_(rows, columns)].astype(np.float64)
    else:
        clipped = [np.clip(pixel, centre[0], centre[-1]) for pixel, centre in zip(pixels, centres, strict=True)]
        resampled = _spline(values.astype(np.float64), centres, clipped, _DEGREES[how])
    within = [(pixel >= axis[0, 0]) & (pixel < axis[-1].sum()) for pixel, axis in zip(pixels, axes, strict=True)]
    return np.where(np.outer(*within), resampled, np.nan).astype(np.float32)


def _spline(
    values: npt.NDArray[np.float64],
    centres: list[npt.NDArray[np.float64]],
    pixels: list[npt.NDArray[np.float64]],
    degree: int,
) -> npt.NDArray[np.float64]:
    from scipy.interpolate import RectBivariateSpline  # a quarter of a second to import

    # A single row or column is a constant along that axis: the spline wants two.
    for axis in (0, 1):
        if len(centres[axis]) == 1:
            centres[axis] = centres[axis][0] + np.arange(2.0)
            values = np.repeat(values, 2, axis=axis)
    kx, ky = (min(degree, len(centre) - 1) for centre in centres)
    return np.asarray(RectBivariateSpline(*centres, values, kx=kx, ky=ky, s=0)(*pixels))


def _inside(heatmap: Array, windows: Windows) -> Array:
    if windows.roi is None:
        return heatmap
    outside = np.ones(heatmap.shape, np.bool_)
    outside[inside(windows.roi)] = False
    heatmap[outside] = np.nan
    return heatmap
