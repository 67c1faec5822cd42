"""Our whole explanation against naive onnxruntime, in interleaved blocks.

Shared machines drift by tens of percent within a minute, so each of our runs lies between two
naive blocks and is compared with their mean:   N0 O1 N1 O2 N2 ...,   ratio_i = (N_{i-1} + N_i) / 2 / O_i.
A naive block is the same sample of the real windows, occluded beforehand, and its time is
extrapolated to all of them. Ours is never extrapolated: the base pass, planning and the map count.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.lib.naive import NaiveModel, Probe, cpu_description
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.contract.occlude import occlude
from krypton_compile.runtime import Explanation, OcclusionSession

Images = npt.NDArray[np.float32]

SAMPLE = 64
# fp32 sums in another order: 1e-5 of the image's largest logit, or of probability 1.
ERROR_BOUND = 1e-5


@dataclass
class PairedResult:
    """What was measured; naive seconds are for all windows, extrapolated from a sample of them."""

    windows: int
    sample: int
    threads: int
    probe: Probe
    naive_seconds: list[float] = field(default_factory=list)
    our_seconds: list[float] = field(default_factory=list)
    largest_difference: float = math.nan
    bound: float = math.nan
    compared: str = "scores"
    changed: float = math.nan

    @property
    def ratios(self) -> list[float]:
        """One speed-up for each of our runs."""
        neighbours = zip(self.naive_seconds, self.naive_seconds[1:], self.our_seconds, strict=False)
        return [(before + after) / 2 / ours for before, after, ours in neighbours]

    def describe(self) -> str:
        """The measurement in words, one fact a line."""
        rates = ", ".join(f"batch {batch}: {rate:.1f}" for batch, rate in self.probe.rates.items())
        if self.probe.skipped:
            rates += f"; too little memory for batch {', '.join(map(str, self.probe.skipped))}"
        naive, ours = statistics.median(self.naive_seconds), statistics.median(self.our_seconds)
        low, middle, high = min(self.ratios), statistics.median(self.ratios), max(self.ratios)
        verdict = "within" if self.largest_difference <= self.bound else "ABOVE"
        idle = f"{100 * (1 - self.changed):.0f} % change nothing"
        sampled = f"extrapolated from {self.sample} of them ({self.windows / naive:.1f} images/s)"
        where = f"at most in the {self.compared} of those {self.sample} windows"
        lines = [
            f"machine          {cpu_description()}; {self.threads} threads for both",
            f"naive            onnxruntime, images/s: {rates}",
            f"                 {naive:.1f} s for {self.windows} windows at batch {self.probe.batch}, {sampled}",
            f"ours             {ours:.2f} s, whole map ({self.windows / ours:.1f} windows/s; {idle})",
            f"speed-up         {middle:.1f} x median, {low:.1f} to {high:.1f} over {len(self.ratios)} paired runs",
            f"difference       {self.largest_difference:.2g} {where}, {verdict} the bound {self.bound:.2g}",
        ]
        return "\n".join(lines)


def paired(
    session: OcclusionSession,
    original: str | Path,
    image: Images,
    baseline: Images,
    *,
    threads: int,
    device: str = "cpu",
    patch_size: int = 16,
    stride: int = 4,
    repeats: int = 3,
    sample: int = SAMPLE,
    budget: float = math.inf,
    probe: Probe | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> PairedResult:
    """Measure ``session`` (opened with ``threads``, on ``device``) against the ``original`` model on one image.

    ``image`` and ``baseline`` are model inputs [1, ...]. No pair starts that would end more than
    ``budget`` seconds after the call, but one is always measured. ``probe`` is that of an earlier
    image, if there was one. ``say`` hears what happens.
    """
    began = time.perf_counter()
    naive = NaiveModel(original, threads, device)
    in_logits = naive.has_logits and session.annotation.logits is not None

    def explain() -> tuple[float, Explanation]:
        start = time.perf_counter()
        explanation = session.explain(
            image, patch_size=patch_size, stride=stride, baseline=baseline, activation="pre" if in_logits else "none"
        )
        explanation.heatmap()
        return time.perf_counter() - start, explanation

    boxes = occlusion_grid(session.image_size, (patch_size, patch_size), (stride, stride))
    chosen = np.sort(np.random.default_rng(0).permutation(len(boxes))[:sample])
    windows = occlude(image, boxes[chosen], baseline, session.layout)
    if probe is None:
        say(f"probing naive batch sizes on {len(chosen)} of {len(boxes)} windows")
        probe = naive.probe(windows)
    result = PairedResult(len(boxes), len(chosen), threads, probe)

    def naive_block() -> list[Images]:
        seconds, outputs = naive.run(windows, result.probe.batch)
        result.naive_seconds.append(seconds * len(boxes) / len(chosen))
        return outputs

    naive.run(windows[: result.probe.batch], result.probe.batch)
    outputs = naive_block()
    for repeat in range(repeats):
        pair_began = time.perf_counter()
        say(f"paired run {repeat + 1} of at most {repeats}")
        seconds, explanation = explain()
        result.our_seconds.append(seconds)
        naive_block()
        now = time.perf_counter()
        if now - began + (now - pair_began) > budget:
            break
    _compare(result, explanation, outputs, chosen)
    return result


def _compare(
    result: PairedResult, explanation: Explanation, outputs: list[Images], chosen: npt.NDArray[np.int64]
) -> None:
    """The largest difference on the tensor before a final Softmax where both sides have it, else on the scores."""
    theirs = outputs[0]
    if explanation.activation == "pre":
        theirs, result.compared = outputs[1], "logits"
    flat = explanation.scores.reshape(result.windows, -1)[chosen]
    result.largest_difference = float(np.abs(flat - theirs.reshape(flat.shape)).max())
    result.bound = ERROR_BOUND * float(np.abs(explanation.base_scores).max())
    result.changed = explanation.changed
