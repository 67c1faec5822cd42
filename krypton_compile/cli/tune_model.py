"""The work of krypton-tune: it reads pictures, tunes, tells the result and stores it in the model."""

from __future__ import annotations

import argparse
import hashlib
import math
from dataclasses import asdict
from pathlib import Path

import onnx

from krypton_compile.cli.frame.terminal import Terminal
from krypton_compile.cli.named import check_named, named_files, of_option
from krypton_compile.cli.open_model import open_given, recall
from krypton_compile.cli.outputs import MODEL, PICTURE, Outputs, model_inputs, weights_of
from krypton_compile.cli.recipe import read_preprocessing
from krypton_compile.compiler.remembered import Memory
from krypton_compile.contract.annotations import (
    LABELS_KEY,
    PREPROCESSING_KEY,
    TUNING_KEY,
    TuningAnnotation,
    write_labels,
    write_tuning,
)
from krypton_compile.disk.read import open_regular
from krypton_compile.disk.write import prove
from krypton_compile.files.loading import load_proto, save_proto
from krypton_compile.runtime.approximation.bounds import Goal, Quality, parse_bound
from krypton_compile.runtime.approximation.settings import write_settings
from krypton_compile.runtime.inputs.occluders import Canvas, make_occluder
from krypton_compile.runtime.inputs.prepare import prepare
from krypton_compile.runtime.session import OcclusionSession
from krypton_compile.runtime.tuning.plot import plot_png
from krypton_compile.runtime.tuning.replay import Sample
from krypton_compile.runtime.tuning.screening import Candidate
from krypton_compile.runtime.tuning.tuner import Tuning, UnreachableError, tune

__all__ = ["UnreachableError", "lines", "quality_text", "tune_file"]


def tune_file(options: argparse.Namespace, terminal: Terminal) -> None:
    """Tune the model that the command line names.

    Raises:
        UnreachableError: if no setting keeps the bounds.
        KryptonError, ValueError, OSError: if an option, the model or a picture cannot be used.
    """
    goal = Goal(tuple(parse_bound(text) for text in options.quality), options.keep)
    files = named_files(options)
    check_named(files)
    for path in options.images:
        with of_option("picture", path):
            open_regular(path).close()
    opened = open_given(options, terminal.say)
    target = _target(options, opened.compiled is None)
    plot = target.with_suffix(".tuning.png")
    outputs = Outputs([*model_inputs(options.model), *options.images, *files.values()], options.force)
    if options.in_place:
        prove(target)
    else:
        outputs.claim(target, "--output", MODEL)
        outputs.check(weights_of(target), "--output")
    outputs.claim(plot, "--output", PICTURE)
    session = recall(opened.session, Memory(opened.path, opened.cached))
    preprocessing = read_preprocessing(options, session.preprocessing)
    session = session.described(preprocessing)
    samples = _samples(options, session)
    tuning = tune(
        session,
        samples,
        goal,
        patch_size=options.patch_size,
        stride=options.stride,
        confidence=options.confidence,
        target_speed_up=options.target_speedup,
        say=lambda text: terminal.say(f"tuning           {text}"),
    )
    terminal.say_all(lines(tuning))
    tuned, more = _annotated(opened.path, tuning, _described(session))
    save_proto(tuned, target, {plot: plot_png(tuning)})
    terminal.left = "what was written is whole"
    if options.in_place:
        outputs.note(target)
    terminal.say(f"written          {outputs.listed([target, plot])}")
    if more:
        terminal.say(f"stored           {' and '.join(more)} in {target}")


def lines(tuning: Tuning) -> list[str]:
    """Tell the result, one fact a line, and the table of candidates."""
    checked, kept = len(tuning.check_images), tuning.kept
    low, high = tuning.interval
    bounds, tuned = " and ".join(map(str, tuning.goal.bounds)), len(tuning.tuning_images)
    interval = (
        f"between {100 * low:.0f} and {100 * high:.0f} % of such images at {100 * tuning.confidence:g} % confidence"
    )
    told = [
        f"chosen           {tuning.chosen.describe()}",
        f"speed            {tuning.seconds:.2f} s a map, exact {tuning.exact_seconds:.2f} s: {tuning.speed_up:.1f} x",
        f"tuning images    {tuned - tuning.broken} of {tuned} keep {bounds}",
        f"                 the worst: {quality_text(tuning.tuning_quality)}",
    ]
    if tuning.check_quality is None:
        told.append("check images     none were left to check on; give more images to know what the bound is worth")
    else:
        told.append(f"check images     {kept} of {checked} keep it: {interval}")
        told.append(f"                 the worst: {quality_text(tuning.check_quality)}")
    if tuning.baseline is not None:
        base = tuning.baseline
        told.append(f"quadratic fit    {_row(base, tuning.exact_seconds)} (the KRYPTON paper's way, for comparison)")
    told += ["", "| setting | seconds | speed-up | worst quality | |", "|---|---|---|---|---|"]
    for candidate in tuning.curve:
        kind = "run for real" if candidate.confirmed else "screened"
        speed_up, seconds = f"{tuning.exact_seconds / candidate.seconds:.1f} x", f"{candidate.seconds:.2f}"
        measures = quality_text(candidate.quality)
        told.append(f"| {candidate.approximation.describe()} | {seconds} | {speed_up} | {measures} | {kind} |")
    return told


def _row(candidate: Candidate, exact_seconds: float) -> str:
    speed_up = f"{exact_seconds / candidate.seconds:.1f} x"
    return f"{candidate.approximation.describe()}: {speed_up}, {quality_text(candidate.quality)}"


def quality_text(quality: Quality) -> str:
    """Tell the measures that were taken, in a line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in _measured(quality).items())


def _measured(quality: Quality) -> dict[str, float]:
    """The measures that were taken, by name."""
    return {name: value for name, value in asdict(quality).items() if not math.isnan(value)}


def _samples(options: argparse.Namespace, session: OcclusionSession) -> list[Sample]:
    preprocessing = session.preprocessing
    assert preprocessing is not None
    model = session.scorer.model
    channels = model.channels
    samples: dict[str, Sample] = {}
    for path in options.images:
        with of_option("picture", path):
            with open_regular(path) as file:
                name = hashlib.file_digest(file, "sha256").hexdigest()
            tensor = prepare(path, preprocessing, session.image_size, channels, model.full_layout).tensor
        occluder = make_occluder(options.baseline, Canvas(tensor, model.full_layout, preprocessing))
        if occluder.rows is not None:
            raise ValueError(f"--baseline {options.baseline}: krypton-tune takes one that is the same for all windows")
        samples[name] = Sample(name, tensor, occluder.image)  # the same picture twice counts once
    return list(samples.values())


def _target(options: argparse.Namespace, compiled: bool) -> Path:
    """The file to write; ``compiled`` is whether the user's model is the compiled file itself."""
    model = Path(options.model)
    if options.in_place:
        if options.output is not None:
            raise ValueError("--in-place and --output: expected one of them")
        if not compiled:
            raise ValueError(
                f"--in-place: {model} is not compiled, so it holds no settings. Leave out --in-place, which writes a "
                "compiled file beside it, or run krypton-compile on it first"
            )
        return model
    stem = model.name.removesuffix(".onnx") + ("" if compiled else ".krypton")
    target: Path = options.output or model.with_name(f"{stem}.tuned.onnx")
    return target


def _described(session: OcclusionSession) -> dict[str, str]:
    """The metadata of what the settings were tuned for."""
    entries = {} if session.preprocessing is None else {PREPROCESSING_KEY: session.preprocessing.to_json()}
    return entries if session.labels is None else {**entries, LABELS_KEY: write_labels(session.labels)}


def _annotated(model: Path, tuning: Tuning, described: dict[str, str]) -> tuple[onnx.ModelProto, list[str]]:
    """The file with the settings, and with what is ``described`` where it does not know it; the names of the latter."""
    proto = load_proto(model)
    annotation = TuningAnnotation(
        settings=write_settings(tuning.chosen),
        bounds=tuple(map(str, tuning.goal.bounds)),
        keep=tuning.goal.keep,
        confidence=tuning.confidence,
        patch_size=tuning.patch_size,
        stride=tuning.stride,
        tuning_images=tuning.tuning_images,
        check_images=tuning.check_images,
        kept=tuning.kept,
        interval=tuning.interval,
        exact_seconds=tuning.exact_seconds,
        seconds=tuning.seconds,
        tuning_quality=_measured(tuning.tuning_quality),
        check_quality=None if tuning.check_quality is None else _measured(tuning.check_quality),
        curve=tuple(
            {
                "settings": write_settings(candidate.approximation),
                "seconds": candidate.seconds,
                "quality": _measured(candidate.quality),
                "confirmed": candidate.confirmed,
            }
            for candidate in tuning.curve
        ),
    )
    others = [entry for entry in proto.metadata_props if entry.key != TUNING_KEY]
    del proto.metadata_props[:]
    proto.metadata_props.extend(others)
    proto.metadata_props.add(key=TUNING_KEY, value=write_tuning(annotation))
    known = {entry.key for entry in others}
    unknown = {key: value for key, value in described.items() if key not in known}
    for key, value in unknown.items():
        proto.metadata_props.add(key=key, value=value)
    return proto, [key.partition(".")[2] for key in unknown]
