"""The picture of a tuning: quality against speed, every candidate, the chosen one, the exact map as reference."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from krypton_compile.disk.earlier import PRODUCER
from krypton_compile.runtime.tuning.screening import Candidate
from krypton_compile.runtime.tuning.tuner import Tuning


def plot_png(tuning: Tuning) -> bytes:
    """Draw a PNG file; the quality is the first bound's measure, the worst over the images of each candidate."""
    bound = tuning.goal.bounds[0]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()

    def scatter(some: list[Candidate], **style: Any) -> None:
        speeds = [tuning.exact_seconds / candidate.seconds for candidate in some]
        axes.scatter(speeds, [getattr(candidate.quality, bound.measure) for candidate in some], **style)

    screened = [candidate for candidate in tuning.curve if not candidate.confirmed]
    confirmed = [candidate for candidate in tuning.curve if candidate.confirmed]
    scatter(screened, color="tab:gray", s=14, label="screened")
    scatter(confirmed, color="tab:blue", s=30, label="run on the tuning images")
    if tuning.baseline is not None:
        scatter([tuning.baseline], color="tab:orange", marker="s", s=40, label="quadratic fit of tau (KRYPTON paper)")
    chosen = getattr(tuning.tuning_quality, bound.measure)
    axes.scatter([tuning.speed_up], [chosen], color="tab:red", marker="*", s=160, label="chosen", zorder=3)
    exact = 0.0 if bound.measure == "error" else 1.0
    axes.scatter([1], [exact], color="black", marker="D", s=30, label="exact")
    axes.axhline(bound.value, color="black", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("speed-up over exact maps")
    axes.set_ylabel(f"{bound.measure}, worst image")
    axes.legend(fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120, metadata={"Software": PRODUCER})
    return data.getvalue()
