"""Run chunks of positions at once, one thread each through all layers.

No hand-over between ops, and a chunk stays in its core's cache. A single worker is the caller's own thread:
onnxruntime's CUDA provider keeps a stream and the handles of cuBLAS and cuDNN for each thread, and a new thread makes
them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from krypton_compile.contract import geometry

Rows = npt.NDArray[np.int64]
_Result = TypeVar("_Result")


def run_chunks(run: Callable[[Rows], _Result], todo: Rows, chunk: int, workers: int) -> Iterator[tuple[Rows, _Result]]:
    """Yield (rows, ``run(rows)``) for pieces of ``todo`` of at most ``chunk`` rows, as they are done."""
    chunks = geometry.count_chunks(len(todo), chunk, workers)
    pieces = np.array_split(todo, chunks) if chunks else []

    def work(rows: Rows) -> tuple[Rows, _Result]:
        return rows, run(rows)

    if workers == 1:
        yield from map(work, pieces)
        return
    with ThreadPoolExecutor(workers) as pool:
        # A few chunks in flight a worker: none waits, and an interruption leaves little behind.
        waiting: set[Future[tuple[Rows, _Result]]] = set()
        try:
            while pieces or waiting:
                while pieces and len(waiting) < 2 * workers:
                    waiting.add(pool.submit(work, pieces.pop(0)))
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()
