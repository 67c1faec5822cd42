"""Map the options of krypton-explain to the request that is put to every picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from krypton_compile import features
from krypton_compile.runtime.approximation.bounds import parse_bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import EXACT, UNTUNED, Approximation, DrillDown, settings_for
from krypton_compile.runtime.inputs.occluders import SAMPLES
from krypton_compile.runtime.inputs.windows import as_pair
from krypton_compile.runtime.maps.explanation import extent
from krypton_compile.runtime.session import OcclusionSession
from krypton_compile.runtime.sweep.request import AUTO, TARGET, Request

Say = Callable[[str], None]


def make_request(options: argparse.Namespace, approximation: Approximation) -> Request:
    """Map the command line to the request of each picture.

    Raises:
        OcclusionError: if an option has a value that no model could answer.
    """
    several = isinstance(options.patch_size, list)
    return Request(
        patch_size=16 if several else options.patch_size,
        patch_sizes=options.patch_size if several else None,
        stride=options.stride,
        baseline="black" if options.baseline is None else options.baseline,
        baseline_space=options.baseline_space or "picture",
        samples=SAMPLES if options.samples is None else options.samples,
        target=options.target,
        classes=TARGET,
        approximation=approximation,
        value=options.value,
        activation=options.activation,
        edge=options.edge,
        roi=options.roi,
        segments=options.segments,
        batch_size=AUTO if options.batch_size is None else options.batch_size,
    )


def check_mode(options: argparse.Namespace) -> None:
    """Refuse settings that contradict each other, before anything is loaded.

    Raises:
        ValueError: if they do.
    """
    by_hand = _by_hand(options)
    names = [f"--{name}" for name in _options_by_hand()]
    if options.mode in ("exact", "progressive") and (by_hand or options.quality):
        raise ValueError(f"--mode {options.mode} leaves nothing out; drop {', '.join(names)} and --quality")
    if by_hand and options.quality:
        raise ValueError(f"--quality chooses the settings; drop {', '.join(names[:-1])} and {names[-1]}")
    if options.mode == "progressive" and (isinstance(options.patch_size, list) or options.segments or options.verify):
        raise ValueError("--mode progressive takes one patch size, no --segments and no --verify")
    if options.segments and isinstance(options.patch_size, list):
        raise ValueError("--segments and several --patch-size: expected regions or windows, one of them")
    if options.roi and options.reduce == "none" and not options.segments:
        raise ValueError("--roi and --reduce none: the upsampled grid depends on windows beyond; take mean or sum")
    if options.verify is not None and options.verify < 1:
        raise ValueError(f"--verify {options.verify}: expected at least 1 window")
    if options.original is not None and not options.original.is_file():
        raise ValueError(f"--original {options.original}: no such file")
    if options.upsample is not None and options.reduce != "none":
        raise ValueError(f"--upsample {options.upsample} is for the grid of --reduce none")


def choose_approximation(options: argparse.Namespace, session: OcclusionSession, say: Say) -> Approximation:
    """Choose what is left out: by hand, for a quality, as tuned, or the default; say which where the user did not."""
    by_hand = _by_hand(options)
    if options.mode != "approximate" and not by_hand and not options.quality:
        return EXACT
    if by_hand:
        thresholds = {name: by_hand[name] for name in ("tau", "eps") if name in by_hand}
        numbers = {name: value[0] if len(value) == 1 else value for name, value in thresholds.items()}
        sampling = None if options.sample is None else Sampling(share=options.sample)
        drill = DrillDown(*by_hand["drilldown"]) if "drilldown" in by_hand else None
        return Approximation(**numbers, drill_down=drill, sampling=sampling)
    tuning = session.tuning
    bounds = () if tuning is None else tuning.bounds
    if options.quality:
        chosen = settings_for(parse_bound(options.quality), session.tuned, bounds)
    else:
        chosen = UNTUNED if session.tuned is None else session.tuned
    if tuning is None or chosen != session.tuned:
        tuned = f"tuned for {', '.join(bounds)}" if bounds else "never tuned"
        say(f"approximate      {tuned}; uses {chosen.describe()}. krypton-tune finds what suits your images")
        return chosen
    if not _as_tuned(options, tuning.patch_size, tuning.stride):
        tuned_for = f"patch {extent(tuning.patch_size)}, stride {extent(tuning.stride)}"
        say(f"approximate      note: tuned for {tuned_for}; its bound says nothing about other ones")
    return chosen


def _options_by_hand() -> tuple[str, ...]:
    """The names of the options that leave something out."""
    return ("tau", "eps", "drilldown", "sample") if features.DRILL_DOWN else ("tau", "eps", "sample")


def _by_hand(options: argparse.Namespace) -> dict[str, Any]:
    values = {name: getattr(options, name) for name in _options_by_hand()}
    return {name: value for name, value in values.items() if value is not None}


def _as_tuned(options: argparse.Namespace, patch: Sequence[int], stride: Sequence[int]) -> bool:
    if isinstance(options.patch_size, list) or isinstance(options.stride, list):
        return False
    asked = as_pair(options.patch_size, "--patch-size"), as_pair(options.stride, "--stride")
    return asked == (tuple(patch), tuple(stride))
