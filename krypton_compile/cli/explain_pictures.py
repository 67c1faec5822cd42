"""The work of krypton-explain: one session, all pictures, a map and its files for each."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from krypton_compile._version import __version__
from krypton_compile.cli.explain_request import check_mode, choose_approximation, make_request
from krypton_compile.cli.open_model import find_original, open_model
from krypton_compile.cli.outputs import listed
from krypton_compile.cli.paths import find_pictures, find_prefixes
from krypton_compile.cli.summary import progress_line, short, summary
from krypton_compile.files.write_all import write_all
from krypton_compile.runtime.inputs.image import read_input
from krypton_compile.runtime.inputs.prepare import Prepared
from krypton_compile.runtime.maps.explanation import Explanation
from krypton_compile.runtime.maps.heatmap import upsampling
from krypton_compile.runtime.maps.save import ENDINGS
from krypton_compile.runtime.maps.several_sizes import SizesExplanation
from krypton_compile.runtime.session import OcclusionSession
from krypton_compile.runtime.sweep.explain import estimate, explain, refine
from krypton_compile.runtime.sweep.progress import progress_bar
from krypton_compile.runtime.sweep.request import Request
from krypton_compile.runtime.sweep.verify import Verification

DRAWN_EVERY = 1.0
"""Seconds from one progressive map's picture to the next; the first and the last are drawn in any case."""

Say = Callable[[str], None]
AnyExplanation = Explanation | SizesExplanation


def explain_all(options: argparse.Namespace, say: Say, complain: Say) -> int:
    """Explain every picture; returns how many could not be read, each of which ``complain`` hears of.

    Raises:
        KryptonError, ValueError, OSError: if something is wrong that no other picture could mend.
    """
    pictures = find_pictures(options.images)
    read = (options.model, options.labels, options.preprocess, options.original, options.segments, options.baseline)
    others = [Path(name) for name in read if name is not None]
    prefixes = find_prefixes(pictures, others, options.output, options.output_dir)
    check_mode(options)
    opened = open_model(options, say)
    session, skipped = opened.session, 0
    request = make_request(options, choose_approximation(options, session, say))
    run = _Run(options, session, request, len(pictures), say)
    for path in pictures:
        try:
            model = session.scorer.model
            shown = read_input(path, model.full_shape, model.full_layout, session.preprocessing)
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
    """The values that all ``count`` pictures of a command line share."""

    options: argparse.Namespace
    session: OcclusionSession
    request: Request
    count: int
    say: Say

    def plan(self, shown: Prepared) -> None:
        """Say what a picture would take."""
        expected = estimate(self.session.scorer, shown, self.request)
        each = f", each of {self.count} pictures" if self.count > 1 else ""
        less = "" if self.request.approximation.exact else "; approximate maps take less"
        self.say(f"plan             {expected.describe()}{each}{less}")

    def explain(self, path: Path, shown: Prepared, prefix: Path) -> None:
        """Explain one picture: its map, its files, and what is said of them."""
        options, scorer, lines = self.options, self.session.scorer, []
        explanation: AnyExplanation
        before = {file for file in (prefix.with_name(prefix.name + ending) for ending in ENDINGS) if file.exists()}
        if options.mode == "progressive":
            for number, explanation in enumerate(_drawn(refine(scorer, shown, self.request), self.say)):
                files = self.write(explanation, path, prefix)
                if number == 0:  # an interrupt leaves them
                    self.say(f"written          {listed(files, before)}")
        else:
            with progress_bar("windows" if self.count == 1 else path.name) as progress:
                explanation = explain(scorer, shown, self.request, progress=progress)
            more: dict[str, Any] = {}
            try:
                if options.verify is not None:
                    checked = self.verify(explanation, shown)
                    lines.append(f"verified         {checked.describe()}")
                    more["verification"] = asdict(checked)
            finally:  # a map that cannot be verified is still the map
                files = self.write(explanation, path, prefix, more)
        heatmap = explanation.heatmap(reduce=options.reduce, upsample=upsampling(options.reduce, options.upsample))
        if self.count > 1:
            self.say(f"{path}: {short(explanation, heatmap)}; written {listed(files, before)}")
        else:
            self.say(summary(explanation, heatmap))
            low, high = shown.tensor.min(), shown.tensor.max()
            self.say(f"input range      {low:.4g} to {high:.4g} after preprocessing")
            if options.mode != "progressive":
                lines.append(f"written          {listed(files, before)}")
        for line in lines:
            self.say(line)

    def verify(self, explanation: AnyExplanation, shown: Prepared) -> Verification:
        """Score some windows on the original model."""
        options, request = self.options, self.request
        return self.session.verify(
            explanation,
            shown,
            options.original or find_original(options.model, self.session),
            options.verify,
            baseline=request.baseline,
            baseline_space=request.baseline_space,
            samples=request.samples,
        )

    def write(
        self, explanation: AnyExplanation, path: Path, prefix: Path, more: Mapping[str, Any] | None = None
    ) -> list[Path]:
        """Write the picture's files."""
        options = self.options
        facts = {"image": str(path), "model": str(options.model), "krypton_compile": __version__, **(more or {})}
        files = explanation.files(prefix, path.name, reduce=options.reduce, upsample=options.upsample, facts=facts)
        write_all(files)
        return list(files)


def _drawn(maps: Iterator[Explanation], say: Say) -> Iterator[Explanation]:
    """The maps that are worth drawing: that takes longer than a small network's next map."""
    written = -math.inf
    for explanation in maps:
        if explanation.scored.all() or time.monotonic() - written >= DRAWN_EVERY:
            yield explanation
            written = time.monotonic()
        say(progress_line(explanation))
