"""Pictures of heat maps.

Of signed values red always means support, blue the opposite: the colours are centred on zero whatever the map's range,
so a map of one sign uses half of them. Scores have no such centre and get a sequential map. Both are
told apart by people who do not see red or green. Figures are drawn through matplotlib's objects and the Agg canvas, so
a caller's pyplot state is neither used nor changed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from krypton_compile.contract import validate
from krypton_compile.disk.earlier import PRODUCER

DIVERGING = "RdBu_r"
SEQUENTIAL = "viridis"
ROOM = 30
"""Letters that a panel is wide."""
ALPHA = 0.7
"""Opacity of the strongest colours; of signed values, all from the share ``FULL`` of the strongest on are as strong."""
FULL = 0.5
COLUMNS = 3
_LUMINANCE = np.array([0.299, 0.587, 0.114])
# Inches and points: letters are 10 pixels high where the picture is shown 400 pixels wide.
_PANEL, _SMALL, _LARGE, _DOTS = 3.3, 12, 14, 130

Array = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


def overlay(
    image_rgb: Picture, heatmap: Array, alpha: float = ALPHA, cmap: str | None = None, *, signed: bool = True
) -> Picture:
    """Draw the map's colours over the picture [H, W, 3] in grey; where the map is NaN, the picture as it is.

    Scores lie over it at opacity ``alpha``. Of signed values it is that from ``FULL`` of the strongest on and falls to
    nothing at zero: what does not matter leaves the picture alone.

    Raises:
        ValueError: if sizes or dtypes do not match, ``alpha`` is outside [0, 1], or matplotlib has no map ``cmap``.
    """
    _check_picture(image_rgb, heatmap)
    validate.require("alpha", alpha, validate.is_share(alpha), "a number between 0 and 1")
    known = np.isfinite(heatmap)
    opacity = np.full(heatmap.shape, float(alpha))
    if signed:
        strongest = colour_range(heatmap)[1]
        opacity *= np.minimum(1, np.abs(np.where(known, heatmap, 0)) / (FULL * strongest))
    grey = np.repeat((image_rgb @ _LUMINANCE)[..., None], 3, axis=2)
    blended = (1 - opacity[..., None]) * grey + opacity[..., None] * colourise(heatmap, cmap, signed)
    drawn: Picture = np.rint(np.where(known[..., None], blended, image_rgb)).astype(np.uint8)
    return drawn


def colourise(heatmap: Array, cmap: str | None = None, signed: bool = True) -> Picture:
    """Draw the map's colours alone, uint8 [H, W, 3]; black where it is NaN.

    Raises:
        ValueError: if matplotlib has no colour map ``cmap``.
    """
    name: object = _colours(cmap, signed)
    if not isinstance(name, str) or name not in colormaps:
        raise ValueError(f"unknown colour map {validate.show(cmap)}; matplotlib lists them as matplotlib.colormaps")
    low, high = colour_range(heatmap, signed)
    known = np.isfinite(heatmap)
    unit = (np.where(known, heatmap, low).astype(np.float64) - low) / (high - low)
    colours = colormaps[name](unit)[..., :3] * 255
    drawn: Picture = np.rint(np.where(known[..., None], colours, 0)).astype(np.uint8)
    return drawn


def colour_range(heatmap: Array, signed: bool = True) -> tuple[float, float]:
    """Find the values of the first and the last colour: of signed values -max |M| and max |M|; never the same."""
    finite = heatmap[np.isfinite(heatmap)].astype(np.float64)
    if signed:
        limit = float(np.abs(finite).max(initial=0.0)) or 1.0
        return -limit, limit
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def figure_png(
    image_rgb: Picture,
    panels: Sequence[tuple[str, Array]],
    title: Sequence[str] = (),
    *,
    alpha: float = ALPHA,
    cmap: str | None = None,
    label: str = "score drop when hidden",
    signed: bool = True,
) -> bytes:
    """Draw a PNG file: the picture, then a panel of title and map after the other, each with its colour bar.

    The first line of ``title`` is set larger than the others. ``label`` says what the numbers are.
    """
    count = len(panels) + 1
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    height, width = image_rgb.shape[:2]
    cell = _PANEL * min(max(height / width, 0.5), 2.0)
    figure = Figure(figsize=(_PANEL * columns + 0.6, cell * rows + 0.35 * len(title) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(image_rgb)
    for axis, (name, heatmap) in zip(axes[1:], panels, strict=False):
        axis.imshow(overlay(image_rgb, heatmap, alpha, cmap, signed=signed))
        axis.set_title(_shortened(name, ROOM), fontsize=_SMALL, parse_math=False)
        colours = ScalarMappable(Normalize(*colour_range(heatmap, signed)), _colours(cmap, signed))
        bar = figure.colorbar(colours, ax=axis, location="bottom", shrink=0.95, aspect=25, pad=0.02)
        bar.ax.tick_params(labelsize=_SMALL - 1)
        bar.locator = MaxNLocator(4)
        bar.formatter = _numbers()
        bar.ax.xaxis.get_offset_text().set_fontsize(_SMALL - 1)
        if len(panels) == 1:
            bar.set_label(label, fontsize=_SMALL)
    if len(panels) > 1:
        figure.supxlabel(label, fontsize=_SMALL)
    if title:
        lines = "\n".join(_shortened(line, ROOM * columns) for line in title)
        figure.suptitle(
            lines,
            fontsize=_LARGE if columns > 2 else _SMALL,
            parse_math=False,
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS, metadata={"Software": PRODUCER})
    return buffer.getvalue()


def _numbers() -> ScalarFormatter:
    """Numbers that would be long get their power of ten beside the bar."""
    formatter = ScalarFormatter()
    formatter.set_powerlimits((-3, 4))
    return formatter


def _colours(cmap: str | None, signed: bool) -> str:
    return (DIVERGING if signed else SEQUENTIAL) if cmap is None else cmap


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _check_picture(image_rgb: Picture, heatmap: Array) -> None:
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise ValueError(f"picture {image_rgb.dtype} {list(image_rgb.shape)}; expected uint8 [H, W, 3]")
    if heatmap.shape != image_rgb.shape[:2]:
        raise ValueError(f"heat map {list(heatmap.shape)} over a picture of {list(image_rgb.shape[:2])} pixels")
