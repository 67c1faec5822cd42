"""The speed-up of one entry: ours and naive onnxruntime in turn, on windows of the whole grid of patch 16, stride 4.

A whole map takes minutes naively, so both sides run a sample and are counted a window: ours whole chunks of neighbours,
as a map has them, spread evenly over the grid; naive some of the same windows, at its best batch size.

    N0 O1 N1 O2 N2 ...,   ratio_i = (N_{i-1} + N_i) / 2 / (base pass / P + O_i)       seconds a window, P windows in all

Shared machines drift, so each of our runs lies between two naive ones. Samples are as large as the budget allows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.naive import NaiveModel, cpu_description, occluded
from krypton_compile.geometry import Boxes, neighbour_order, occlusion_grid
from krypton_compile.runtime import OcclusionSession

Images = npt.NDArray[np.float32]

PATCH, STRIDE = 16, 4
PAIRS = 3
"""At least; more where they are cheap."""
BATCHES = (1, 4, 8, 16)
_MOST_PAIRS = 7
_ENOUGH = 1.5
"""Seconds of a block beyond which a longer one tells no more than another pair."""
_SLOW = 0.1
"""Seconds an image from which batches of 8 and 16 are not tried: a large network fills the cores alone."""
_MOST_IMAGES = 256


@dataclass(frozen=True)
class Measured:
    """Seconds a window of each block, in the order in which they ran, and where; ``base_seconds`` once an image."""

    machine: str
    threads: int
    precision: str
    positions: int
    our_windows: int
    naive_windows: int
    naive_batch: int
    base_seconds: float
    naive_seconds: list[float]
    our_seconds: list[float]
    self_check: float

    @property
    def ratios(self) -> list[float]:
        """One speed-up for each of our runs."""
        pairs = zip(self.naive_seconds, self.naive_seconds[1:], self.our_seconds, strict=False)
        base = self.base_seconds / self.positions
        return [(before + after) / 2 / (base + ours) for before, after, ours in pairs]

    @property
    def speed_up(self) -> float:
        """The median."""
        return statistics.median(self.ratios)


def measure(
    original: Path, compiled: Path, image: Images, threads: int, budget: float, say: Callable[[str], None]
) -> Measured:
    """Three pairs or more, in about ``budget`` seconds; ``image`` is the model's input [1, ...], hidden by zeros."""
    session = OcclusionSession(compiled, threads=threads)
    baseline = np.zeros_like(image)
    grid = occlusion_grid(session.image_size, (PATCH, PATCH), (STRIDE, STRIDE))
    naive = NaiveModel(original, threads)
    batch, theirs_a_window = _best_batch(naive, occluded(image, baseline, chunks(grid, 1, BATCHES[-1]), session.layout))
    say(f"naive: {1 / theirs_a_window:.1f} images/s at batch {batch}")
    chunk = session.annotation.chunk
    prepared = session.prepare(image, baseline)
    session.score(prepared, chunks(grid, threads, min(8, chunk)))  # packs weights and checks itself
    one_round = chunks(grid, threads, chunk)
    round_seconds = _seconds(lambda: session.score(prepared, one_round))
    say(f"ours: {len(one_round) / round_seconds:.1f} windows/s")

    # A pair is two blocks of about equal length; a block of ours is whole rounds of chunks, one of naive whole batches.
    block = min(_ENOUGH, budget / 2 / (PAIRS + 1))
    at = chunks(grid, threads * max(1, round(block / round_seconds)), chunk)
    images = batch * max(1, round(min(_MOST_IMAGES, block / theirs_a_window) / batch))
    windows = occluded(image, baseline, at[np.linspace(0, len(at) - 1, images).astype(np.int64)], session.layout)
    pair_seconds = len(at) / len(one_round) * round_seconds + images * theirs_a_window
    pairs = max(PAIRS, min(_MOST_PAIRS, int(budget / pair_seconds) - 1))

    base_seconds = _seconds(lambda: session.prepare(image, baseline))
    naive.run(windows[:batch], batch)
    theirs, ours = [naive.run(windows, batch)[0] / images], []
    for _ in range(pairs):
        ours.append(_seconds(lambda: session.score(prepared, at)) / len(at))
        theirs.append(naive.run(windows, batch)[0] / images)
    return Measured(
        cpu_description(),
        threads,
        session.precision,
        len(grid),
        len(at),
        images,
        batch,
        base_seconds,
        theirs,
        ours,
        session.error,
    )


def chunks(grid: Boxes, count: int, chunk: int) -> Boxes:
    """``count`` runs of ``chunk`` neighbours, spread evenly over the grid; fewer where they would overlap."""
    near = grid[neighbour_order(grid)]
    chunk = min(chunk, len(near))
    starts = np.linspace(0, len(near) - chunk, min(count, len(near) // chunk)).astype(np.int64)
    return near[(starts[:, None] + np.arange(chunk)).ravel()]


def _best_batch(naive: NaiveModel, windows: Images) -> tuple[int, float]:
    """The batch size and its seconds an image; a file with a batch size of its own has no choice."""
    if len(naive.batches) > 1:
        naive.run(windows[:1], 1)
        naive.batches = BATCHES if naive.run(windows[:1], 1)[0] < _SLOW else BATCHES[:2]
    probe = naive.probe(windows)
    return probe.batch, 1 / probe.rates[probe.batch]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
