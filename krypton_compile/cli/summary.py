"""Summaries of explanations for people, one fact a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from krypton_compile.runtime.approximation.bounds import LOWER_IS_BETTER
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.several_sizes import SizesExplanation

READABLE = 100
"""A map is readable when its largest change is this many times the numerical resolution."""
LONGEST_LABEL = 200
"""Characters of a label that are shown; those of ImageNet have up to 131."""

Array = npt.NDArray[np.float32]


def summary(explanation: Explanation | SizesExplanation, heatmap: Array) -> list[str]:
    """Tell all facts of an explanation, one a line; ``heatmap`` is the map that was made of it."""
    parts = explanation.parts if isinstance(explanation, SizesExplanation) else (explanation,)
    predicted = int(np.argmax(explanation.base_scores))
    lines = [f"predicted class  {_named(explanation, predicted)}, score {explanation.base_scores[predicted]:.6g}"]
    if explanation.target != predicted:
        target = explanation.target
        lines.append(f"explained class  {_named(explanation, target)}, score {explanation.base_scores[target]:.6g}")
    scored = sum(int(part.scored.sum()) for part in parts)
    lines += [f"windows          {part.windows.describe()}" for part in parts]
    lines.append(
        f"time             {explanation.seconds:.2f} s, {scored / max(explanation.seconds, 1e-9):.0f} windows/s"
    )
    for part in parts:
        lines += _facts(part)
    lines.append(f"map              {np.nanmin(heatmap):.4g} to {np.nanmax(heatmap):.4g}")
    lines += _resolution_note(explanation, parts)
    return lines


def progress_line(explanation: Explanation) -> str:
    """Tell in a line how far one of ever finer maps is."""
    done, total = int(explanation.scored.sum()), explanation.scored.size
    error = explanation.estimated_error
    close = "exact" if explanation.exact else "first map" if np.isnan(error) else f"error about {error:.2g}"
    if explanation.estimated_quality and not explanation.exact:
        close += f", {_estimates(explanation)}"
    return f"map              {done} of {total} windows, {explanation.seconds:.2f} s, {close}"


def short(explanation: Explanation | SizesExplanation, heatmap: Array) -> str:
    """Tell the result in a line, for one image of many."""
    score = f"{explanation.base_scores[explanation.target]:.4g}"
    low, high = np.nanmin(heatmap), np.nanmax(heatmap)
    return (
        f"{_named(explanation, explanation.target)}, {score}, map {low:.3g} to {high:.3g}, {explanation.seconds:.2f} s"
    )


def _resolution_note(explanation: Explanation | SizesExplanation, parts: Sequence[Explanation]) -> list[str]:
    """Note that no window changes the explained score by enough to be far from rounding, where that is so."""
    base = explanation.base_scores[explanation.target]
    largest = 0.0
    for part in parts:
        column = np.flatnonzero(part.classes == explanation.target)
        largest = max(largest, float(np.abs(part.scores[..., column] - base).max()))
    resolution = max(part.resolution for part in parts)
    if largest >= READABLE * resolution:
        return []
    saturated = explanation.activation == "none" and parts[0].probabilities
    advice = "; where scores saturate, --activation pre shows more" if saturated else ""
    if largest < resolution:
        return [f"note             no window changes the score by more than the numerical resolution{advice}"]
    times = f"{largest / resolution:.0f} times the numerical resolution"
    return [f"note             no window changes the score by more than {largest:.2g}, {times}{advice}"]


def _facts(part: Explanation) -> list[str]:
    reduced = " (reduced)" if part.precision == "bfloat16" else ""
    measured = "" if np.isnan(part.error) else f", error {part.error:.1e} of the largest output"
    return [
        f"change nothing   {100 * (1 - part.changed):.1f} % of the windows",
        f"precision        {part.precision}{reduced}{measured}",
        *_approximate_lines(part),
    ]


def _named(explanation: Explanation | SizesExplanation, index: int) -> str:
    if explanation.labels is None:
        return str(index)
    label = explanation.labels[index]
    return f"{index} ({label if len(label) <= LONGEST_LABEL else f'{label[:LONGEST_LABEL]}...'})"


def _estimates(explanation: Explanation) -> str:
    texts, limits = [], explanation.estimated_limit
    for name, value in explanation.estimated_quality.items():
        least = f", {limits[name]:.2f} at {'most' if name in LOWER_IS_BETTER else 'least'}" if name in limits else ""
        texts.append(f"{name} about {value:.2f}{least}")
    return "; ".join(texts)


def _approximate_lines(explanation: Explanation) -> list[str]:
    frozen = f"APPROXIMATE      frozen gates: {explanation.frozen_gates} keep the values of the whole image"
    gates = [frozen] if explanation.frozen_gates else []
    if explanation.every_window:
        gates.append(f"every window     {explanation.every_window}")
    if explanation.approximation.exact:
        return gates
    total = explanation.scored.size
    changing = round(explanation.changed * total)
    scored = int(explanation.scored.sum()) - (total - changing)
    lines = [
        *gates,
        f"APPROXIMATE      {explanation.approximation.describe()}",
        f"scored           {scored} of the {changing} windows that change something; the others are interpolated",
    ]
    if explanation.estimated_quality:
        lines.append(f"estimated        {_estimates(explanation)} to the exact map, by what the last windows changed")
    check = explanation.check
    if check is not None:
        saved = f"{100 * check.tau_saves:.0f} % of a window's by tau, {100 * check.eps_saves:.0f} % of the rest by eps"
        if check.tau_saves or check.eps_saves:
            lines.append(f"time avoided     about {saved}")
        lines.append(f"checked          {check.describe()}")
    return lines
