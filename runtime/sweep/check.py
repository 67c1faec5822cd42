"""The check of an approximate map: a few random windows again, exactly, of those that may be off.

Of n windows drawn at random the largest error is a tolerance bound, not the map's largest: were more than a share q of
the windows off by more, all n would miss them with probability (1 - q)^n at most (Wilks 1941). So with confidence c

    q = 1 - (1 - c)^(1/n)          n = 8, c = 0.95: up to 31 % of the windows may be off by more
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from krypton_compile.runtime.approximation.thresholds import NOTHING_LEFT_OUT, Thresholds
from krypton_compile.runtime.engine.scorer import Scorer
from krypton_compile.runtime.maps.explanation import Check
from krypton_compile.runtime.sweep.windows_scored import Array, Sweep, score_windows

CHECKED = 8
"""Windows scored again, exactly, to measure an approximate map's error."""


def check_windows(scorer: Scorer, sweep: Sweep, thresholds: Thresholds) -> Check:
    """Score a few random windows exactly; and the time that the thresholds save on them, one after the other."""
    total, subject = len(sweep.windows.boxes), sweep.resolved.subject
    # A window that changes nothing is known, and one that was scored with nothing left out is exact.
    off = ~sweep.unchanged if not thresholds.exact else ~sweep.scored
    places = np.flatnonzero(off)
    if not len(places):
        return Check(0, 0, 0.0, 0.0, 0.0, 0.0)
    at = np.sort(np.random.default_rng(0).permutation(places)[:CHECKED])

    def timed(some: Thresholds) -> tuple[float, Array]:
        start = time.perf_counter()
        all_scores = np.empty((total, len(subject.classes)), np.float32)
        for rows, scores in score_windows(scorer, sweep.resolved, sweep.windows, at, some):
            all_scores[rows] = scores
        return time.perf_counter() - start, all_scores[at]

    exact_seconds, exact = timed(NOTHING_LEFT_OUT)
    tau_seconds = both_seconds = exact_seconds
    if not replace(thresholds, precision=None).exact:
        tau_seconds = timed(Thresholds(tau=thresholds.tau))[0]
        both_seconds = timed(replace(thresholds, precision=None))[0]
    column = np.flatnonzero(subject.classes == subject.target)
    columns = column if len(column) else np.arange(len(subject.classes))
    difference = np.abs(exact - sweep.scores.reshape(total, -1)[at])[:, columns]
    return Check(
        windows=len(at),
        of=len(places),
        largest=float(difference.max()),
        mean=float(difference.mean()),
        tau_saves=max(0.0, 1 - tau_seconds / exact_seconds),
        eps_saves=max(0.0, 1 - both_seconds / tau_seconds),
    )
