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
from krypton_compile.cli.failures import Failures
from krypton_compile.cli.frame.terminal import Terminal
from krypton_compile.cli.named import check_named, named_files
from krypton_compile.cli.open_model import find_original, open_model
from krypton_compile.cli.outputs import Outputs, model_inputs
from krypton_compile.cli.paths import find_pictures, find_prefixes
from krypton_compile.cli.summary import progress_line, short, summary
from krypton_compile.disk.write import prove, write_all
from krypton_compile.errors import KryptonError
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

_LEFT = "what was not finished is not written"

Say = Callable[[str], None]
AnyExplanation = Explanation | SizesExplanation


def explain_all(options: argparse.Namespace, terminal: Terminal) -> int:
    """Explain every picture; returns how many were skipped, of each of which a line is said.

    Raises:
        KryptonError, ValueError, OSError: if something is wrong that no other picture could mend.
    """
    pictures, files = find_pictures(options.images), named_files(options)
    check_mode(options)
    check_named(files)
    outputs = Outputs([*model_inputs(options.model), *pictures, *files.values()], options.force)
    prefixes = find_prefixes(pictures, outputs, options.output, options.output_dir)
    opened = open_model(options, terminal.say)
    if options.store:
        prove(opened.path)
    session = opened.session
    request = make_request(options, choose_approximation(options, session, terminal.say))
    run = _Run(options, session, request, len(pictures), terminal, outputs)
    failures = Failures(terminal.complain)
    for path in pictures:
        try:
            model = session.scorer.model
            shown = read_input(path, model.full_shape, model.full_layout, session.preprocessing)
        except Exception as error:  # a decoder may raise anything, and the next picture may be a good one
            failures.skip(path, error)
            continue
        try:
            if options.plan:
                run.plan(shown)
                break
            run.explain(path, shown, prefixes[path])
        except PlaceError:
            raise
        except (KryptonError, ValueError, MemoryError) as error:
            failures.fail(path, error)
        else:
            failures.succeed()
            opened.remember(terminal.say)
    return failures.end()


class PlaceError(KryptonError):
    """A place cannot be written to, so that other pictures' results cannot either."""


@dataclass(frozen=True)
class _Run:
    """The values that all ``count`` pictures of a command line share."""

    options: argparse.Namespace
    session: OcclusionSession
    request: Request
    count: int
    terminal: Terminal
    outputs: Outputs

    def plan(self, shown: Prepared) -> None:
        """Say what a picture would take."""
        expected = estimate(self.session.scorer, shown, self.request)
        each = f", each of {self.count} pictures" if self.count > 1 else ""
        less = "" if self.request.settings.exact else "; approximate maps take less"
        self.terminal.say(f"plan             {expected.describe()}{each}{less}")

    def explain(self, path: Path, shown: Prepared, prefix: Path) -> None:
        """Explain one picture: its map, its files, and what is said of them."""
        options, scorer, lines, say = self.options, self.session.scorer, [], self.terminal.say
        explanation: AnyExplanation
        for ending in ENDINGS:
            self.outputs.note(prefix.with_name(prefix.name + ending))
        if options.mode == "progressive":
            for number, explanation in enumerate(_drawn(refine(scorer, shown, self.request), say)):
                files = self.write(explanation, path, prefix)
                if number == 0:  # an interrupt leaves them
                    say(f"written          {self.outputs.listed(files)}")
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
            say(f"{path}: {short(explanation, heatmap)}; written {self.outputs.listed(files)}")
        else:
            self.terminal.say_all(summary(explanation, heatmap))
            low, high = shown.tensor.min(), shown.tensor.max()
            say(f"input range      {low:.4g} to {high:.4g} after preprocessing")
            if options.mode != "progressive":
                lines.append(f"written          {self.outputs.listed(files)}")
        self.terminal.say_all(lines)

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
        """Write the picture's files, and make the folder for them that was asked for."""
        options = self.options
        facts = {"image": str(path), "model": str(options.model), "krypton_compile": __version__, **(more or {})}
        files = explanation.files(prefix, path.name, reduce=options.reduce, upsample=options.upsample, facts=facts)
        try:
            if options.output_dir is not None:
                options.output_dir.mkdir(parents=True, exist_ok=True)
            write_all(files)
        except OSError as error:
            raise PlaceError(str(error)) from error
        self.terminal.left = "the last map stays" if options.mode == "progressive" else _LEFT
        return list(files)


def _drawn(maps: Iterator[Explanation], say: Say) -> Iterator[Explanation]:
    """The maps that are worth drawing: that takes longer than a small network's next map."""
    written = -math.inf
    for explanation in maps:
        if explanation.scored.all() or time.monotonic() - written >= DRAWN_EVERY:
            yield explanation
            written = time.monotonic()
        say(progress_line(explanation))
