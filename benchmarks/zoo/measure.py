"""The speed-up of one entry: ours and naive onnxruntime in turn, on windows of the whole grid.

A whole map takes minutes naively, so both sides run a sample and are counted a window: ours whole chunks of neighbours,
as a map has them, spread evenly over the grid; naive some of the same windows, at its best batch size.

    N0 O1 N1 O2 N2 ...,   ratio_i = (N_{i-1} + N_i) / 2 / (base pass / P + O_i)       seconds a window, P windows in all

Shared machines drift, so each of our runs lies between two naive ones. But a machine that others use at the same time
favours us, by a factor of two and more: naive threads wait for each other after every layer, ours do not. So what the
processors do before the first block is recorded.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.lib.naive import NaiveModel, cpu_description
from benchmarks.zoo.entries import Entry
from krypton_compile.contract.geometry import Boxes, neighbour_order, occlusion_grid
from krypton_compile.runtime import OcclusionSession
from models.zoo.pictures import hidden

Images = npt.NDArray[np.float32]

PAIRS = 3
"""At least; more where they are cheap."""
BATCHES = (1, 4, 8, 16)
BUSY = 0.1
"""Share of the processors that others may use."""
_MOST_PAIRS = 7
_ENOUGH = 1.5
"""Seconds of a block beyond which a longer one tells no more than another pair."""
_SLOW = 0.1
"""Seconds an image from which batches of 8 and 16 are not tried: a large network fills the cores alone."""
_MOST_IMAGES = 256
_LISTENING = 1.0
"""Seconds in which others are listened for."""


@dataclass(frozen=True)
class Measured:
    """Seconds a window of each block, in the order in which they ran, and where; ``base_seconds`` once an image.

    ``busy`` is the share of all processors that others used before.
    """

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
    busy: float

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
    entry: Entry,
    original: Path,
    compiled: Path,
    image: Images,
    threads: int,
    budget: float,
    say: Callable[[str], None],
) -> Measured:
    """Three pairs or more, in about ``budget`` seconds; ``image`` is the model's input [1, ...], hidden by zeros."""
    busy = listen()
    if busy > BUSY:
        say(f"WARNING: others use {100 * busy:.0f} % of the processors; the speed-up will be too large")
    session = OcclusionSession(compiled, threads=threads)
    sizes = session.spatial
    grid = occlusion_grid(sizes, [min(entry.patch, size) for size in sizes], [entry.stride] * len(sizes))
    naive = NaiveModel(original, threads)
    batch, theirs_a_window = _best_batch(naive, hidden(image, chunks(grid, 1, BATCHES[-1])))
    say(f"naive: {1 / theirs_a_window:.1f} images/s at batch {batch}")
    chunk = session.annotation.chunk
    prepared = session.prepare(image)
    session.score(prepared, chunks(grid, threads, min(8, chunk)))  # packs weights and checks itself
    one_round = chunks(grid, threads, chunk)
    round_seconds = _seconds(lambda: session.score(prepared, one_round))
    say(f"ours: {len(one_round) / round_seconds:.1f} windows/s")

    # A pair is two blocks of about equal length; a block of ours is whole rounds of chunks, one of naive whole batches.
    block = min(_ENOUGH, budget / 2 / (PAIRS + 1))
    at = chunks(grid, threads * max(1, round(block / round_seconds)), chunk)
    images = batch * max(1, round(min(_MOST_IMAGES, block / theirs_a_window) / batch))
    windows = hidden(image, at[np.linspace(0, len(at) - 1, images).astype(np.int64)])
    pair_seconds = len(at) / len(one_round) * round_seconds + images * theirs_a_window
    pairs = max(PAIRS, min(_MOST_PAIRS, int(budget / pair_seconds) - 1))

    base_seconds = _seconds(lambda: session.prepare(image))
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
        busy,
    )


def chunks(grid: Boxes, count: int, chunk: int) -> Boxes:
    """``count`` runs of ``chunk`` neighbours, spread evenly over the grid; fewer where they would overlap."""
    near = grid[neighbour_order(grid)]
    chunk = min(chunk, len(near))
    starts = np.linspace(0, len(near) - chunk, min(count, len(near) // chunk)).astype(np.int64)
    return near[(starts[:, None] + np.arange(chunk)).ravel()]


def listen() -> float:
    """The share of all processors' time that is used while this process sleeps."""

    def ticks() -> tuple[int, int]:
        times = [int(field) for field in Path("/proc/stat").read_text("utf-8").splitlines()[0].split()[1:9]]
        return sum(times), times[3] + times[4]

    (before, idle_before), _, (after, idle_after) = ticks(), time.sleep(_LISTENING), ticks()
    return 1 - (idle_after - idle_before) / max(1, after - before)


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
