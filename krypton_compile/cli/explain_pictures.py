"""What krypton-explain does: one session, all pictures, a map and its files for each."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from krypton_compile._version import __version__
from krypton_compile.cli.open_model import find_original, open_model
from krypton_compile.cli.paths import find_pictures, find_prefixes
from krypton_compile.cli.summary import progress_line, short, summary
from krypton_compile.files.write_all import write_all
from krypton_compile.runtime.approximation.bounds import parse_bound
from krypton_compile.runtime.approximation.sampling import Sampling
from krypton_compile.runtime.approximation.settings import EXACT, UNTUNED, Approximation, settings_for
from krypton_compile.runtime.inputs.image import read_input
from krypton_compile.runtime.inputs.occluders import SAMPLES
from krypton_compile.runtime.inputs.prepare import Prepared
from krypton_compile.runtime.inputs.windows import as_pair
from krypton_compile.runtime.maps.explanation import Explanation, extent
from krypton_compile.runtime.maps.heatmap import upsampling
from krypton_compile.runtime.maps.several_sizes import SizesExplanation
from krypton_compile.runtime.session import Asked, OcclusionSession
from krypton_compile.runtime.sweep.progress import progress_bar
from krypton_compile.runtime.sweep.verify import Verification

DRAWN_EVERY = 1.0
"""Seconds from one progressive map's picture to the next; the first and the last are drawn in any case."""

Say = Callable[[str], None]
Found = Explanation | SizesExplanation


def explain_all(options: argparse.Namespace, say: Say, complain: Say) -> int:
    """Explains every picture; returns how many could not be read, each of which ``complain`` hears of.

    Raises:
        KryptonError, ValueError, OSError: what no other picture could mend.
    """
    pictures = find_pictures(options.images)
    prefixes = find_prefixes(pictures, options.model, options.output, options.output_dir)
    check_mode(options)
    opened = open_model(options, say)
    session, skipped = opened.session, 0
    run = _Run(options, session, choose_approximation(options, session, say), len(pictures), say)
    for path in pictures:
        try:
            shown = read_input(path, session.image_shape, session.layout, session.preprocessing)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            complain(f"skipped {path}: {' '.join(reason.split()).removeprefix(f'{path}: ')}")
            skipped += 1
            continue
        if options.plan:
            run.plan(shown)
            break
        run.explain(path, shown, prefixes[path])
        opened.remember(say)
    return skipped


@dataclass(frozen=True)
class _Run:
    """What all ``count`` pictures of a command line share."""

    options: argparse.Namespace
    session: OcclusionSession
    approximation: Approximation
    count: int
    say: Say

    def plan(self, shown: Prepared) -> None:
        """Says what a picture would take."""
        options = self.options
        found = self.session.estimate(shown, options.patch_size, options.stride, **_asked(options))
        each = f", each of {self.count} pictures" if self.count > 1 else ""
        less = "" if self.approximation.exact else "; approximate maps take less"
        self.say(f"plan             {found.describe()}{each}{less}")

    def explain(self, path: Path, shown: Prepared, prefix: Path) -> None:
        """One picture: its map, its files, and what is said of them."""
        options, asked, lines = self.options, _asked(self.options), []
        sizes = options.patch_size, options.stride
        if options.mode == "progressive":
            for found in _drawn(self.session.explain_progressively(shown, *sizes, **asked), self.say):
                files = self.write(found, path, prefix)
        else:
            with progress_bar("windows" if self.count == 1 else path.name) as progress:
                found = self.session.explain(
                    shown, *sizes, approximation=self.approximation, progress=progress, **asked
                )
            more: dict[str, Any] = {}
            try:
                if options.verify is not None:
                    checked = self.verify(found, shown)
                    lines.append(f"verified         {checked.describe()}")
                    more["verification"] = asdict(checked)
            finally:  # a map that cannot be verified is still the map
                files = self.write(found, path, prefix, more)
        heatmap = found.heatmap(reduce=options.reduce, upsample=upsampling(options.reduce, options.upsample))
        if self.count > 1:
            self.say(f"{path}: {short(found, heatmap)}")
        else:
            self.say(summary(found, heatmap))
            low, high = shown.tensor.min(), shown.tensor.max()
            self.say(f"input range      {low:.4g} to {high:.4g} after preprocessing")
            lines.append("written          " + ", ".join(map(str, files)))
        for line in lines:
            self.say(line)

    def verify(self, found: Found, shown: Prepared) -> Verification:
        """Some windows on the original model."""
        options, asked = self.options, _asked(self.options)
        original = options.original or find_original(options.model, self.session)
        return self.session.verify(
            found,
            shown,
            original,
            options.verify,
            baseline=asked["baseline"],
            baseline_space=asked["baseline_space"],
            samples=asked["samples"],
        )

    def write(self, found: Found, path: Path, prefix: Path, more: Mapping[str, Any] | None = None) -> list[Path]:
        """The picture's files."""
        options = self.options
        facts = {"image": str(path), "model": str(options.model), "krypton_compile": __version__}
        files = found.files(
            prefix, path.name, reduce=options.reduce, upsample=options.upsample, facts={**facts, **(more or {})}
        )
        write_all(files)
        return list(files)


def _drawn(maps: Iterator[Explanation], say: Say) -> Iterator[Explanation]:
    """The maps that are worth drawing: that takes longer than a small network's next map."""
    written = -math.inf
    for found in maps:
        if found.scored.all() or time.monotonic() - written >= DRAWN_EVERY:
            yield found
            written = time.monotonic()
        say(progress_line(found))


def _asked(options: argparse.Namespace) -> Asked:
    return {
        "baseline": "black" if options.baseline is None else options.baseline,
        "baseline_space": options.baseline_space or "picture",
        "samples": SAMPLES if options.samples is None else options.samples,
        "target": options.target,
        "classes": "target",
        "value": options.value,
        "activation": options.activation,
        "edge": options.edge,
        "roi": options.roi,
        "segments": options.segments,
        "batch_size": "auto" if options.batch_size is None else options.batch_size,
    }


def check_mode(options: argparse.Namespace) -> None:
    """Refuses settings that contradict each other, before anything is loaded.

    Raises:
        ValueError: they do.
    """
    by_hand = _by_hand(options)
    if options.mode in ("exact", "progressive") and (by_hand or options.quality):
        given_up = "--tau, --eps, --drilldown, --sample and --quality"
        raise ValueError(f"--mode {options.mode} leaves nothing out; drop {given_up}")
    if by_hand and options.quality:
        raise ValueError("--quality chooses the settings; drop --tau, --eps, --drilldown and --sample")
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
    """By hand, for a quality, as tuned, or the defaults; says which where the user did not."""
    by_hand = _by_hand(options)
    if options.mode != "approximate" and not by_hand and not options.quality:
        return EXACT
    if by_hand:
        thresholds = {name: by_hand[name] for name in ("tau", "eps") if name in by_hand}
        one = {name: value[0] if len(value) == 1 else value for name, value in thresholds.items()}
        sampling = None if options.sample is None else Sampling(share=options.sample)
        return Approximation(**one, drill_down=options.drilldown, sampling=sampling)
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


def _by_hand(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in ("tau", "eps", "drilldown", "sample")}
    return {name: value for name, value in given.items() if value is not None}


def _as_tuned(options: argparse.Namespace, patch: Sequence[int], stride: Sequence[int]) -> bool:
    if isinstance(options.patch_size, list) or isinstance(options.stride, list):
        return False
    given = as_pair(options.patch_size, "--patch-size"), as_pair(options.stride, "--stride")
    return given == (tuple(patch), tuple(stride))
