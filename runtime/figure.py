"""Pictures of heat maps.

Red always means support, blue the opposite, white nothing: the colours are centred on zero
whatever the map's range, so a map of one sign uses half of them. Figures are drawn through
matplotlib's objects and the Agg canvas, so a caller's pyplot state is neither used nor changed.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from krypton_compile.runtime.files import write_all

DIVERGING = "RdBu_r"


def overlay(
    image_rgb: npt.NDArray[np.uint8], heatmap: npt.NDArray[np.float32], alpha: float = 0.5, cmap: str | None = None
) -> npt.NDArray[np.uint8]:
    """The picture [H, W, 3] with the map over it at opacity ``alpha``; NaN leaves the picture as it is.

    Raises:
        ValueError: sizes or dtypes that do not match, alpha outside [0, 1], an unknown colour map.
    """
    _check_picture(image_rgb, heatmap)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha}; expected a number between 0 and 1")
    if (cmap or DIVERGING) not in colormaps:
        raise ValueError(f"unknown colour map {cmap!r}; matplotlib lists them as matplotlib.colormaps")
    limit = colour_limit(heatmap)
    known = np.isfinite(heatmap)
    unit = np.where(known, heatmap, 0) / (2 * limit) + 0.5
    colours = colormaps[cmap or DIVERGING](unit)[..., :3] * 255
    opacity = np.where(known, alpha, 0.0)[..., None]
    blended: npt.NDArray[np.uint8] = np.rint((1 - opacity) * image_rgb + opacity * colours).astype(np.uint8)
    return blended


def colour_limit(heatmap: npt.NDArray[np.float32]) -> float:
    """The value that gets the strongest colour, max |M|; 1 for a map that is zero everywhere."""
    finite = np.abs(heatmap[np.isfinite(heatmap)])
    return float(finite.max(initial=0.0)) or 1.0


def figure_png(
    image_rgb: npt.NDArray[np.uint8],
    heatmap: npt.NDArray[np.float32],
    title: str = "",
    *,
    alpha: float = 0.5,
    cmap: str | None = None,
    label: str = "score drop when hidden",
) -> bytes:
    """A PNG file with the picture beside the overlay and the map's colour bar."""
    blended = overlay(image_rgb, heatmap, alpha, cmap)
    limit = colour_limit(heatmap)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    for axis, picture in zip(axes, (image_rgb, blended), strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
    figure.colorbar(ScalarMappable(Normalize(-limit, limit), cmap or DIVERGING), ax=axes, label=label)
    figure.suptitle(title, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def save_figure(
    path: str | Path,
    image_rgb: npt.NDArray[np.uint8],
    heatmap: npt.NDArray[np.float32],
    title: str = "",
    *,
    alpha: float = 0.5,
    cmap: str | None = None,
) -> None:
    """Write ``figure_png`` to ``path``, whole or not at all."""
    write_all({Path(path): figure_png(image_rgb, heatmap, title, alpha=alpha, cmap=cmap)})


def _check_picture(image_rgb: npt.NDArray[np.uint8], heatmap: npt.NDArray[np.float32]) -> None:
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise ValueError(f"picture {image_rgb.dtype} {list(image_rgb.shape)}; expected uint8 [H, W, 3]")
    if heatmap.shape != image_rgb.shape[:2]:
        raise ValueError(f"heat map {list(heatmap.shape)} over a picture of {list(image_rgb.shape[:2])} pixels")
