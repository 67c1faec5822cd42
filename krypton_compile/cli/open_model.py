"""Open a model, compiled or not, as a session that knows how pictures become its input.

    model.krypton.onnx   opened as it is
    model.onnx           compiled into the cache first, or found there (krypton_compile/opening.py)

What the user says of preprocessing and labels is stored in the compiled file if it does not know it yet, so that it
need be said only once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from krypton_compile.cli.model_options import model_arguments, model_flags
from krypton_compile.cli.recipe import read_preprocessing
from krypton_compile.contract.annotations import LABELS_KEY, PREPROCESSING_KEY, write_labels
from krypton_compile.contract.labels import read_labels
from krypton_compile.contract.layouts import KINDS
from krypton_compile.files.metadata import store
from krypton_compile.opening import Export, Opened, open_compiled
from krypton_compile.runtime.session import OcclusionSession

Say = Callable[[str], None]


@dataclass
class Described:
    """A session, and ``news``: what the user said that its file at ``path`` does not know yet."""

    session: OcclusionSession
    path: Path
    news: dict[str, str]

    def remember(self, say: Say) -> None:
        """Store the news, once: after the first picture that went well."""
        if not self.news:
            return
        try:
            store(self.path, self.news)
        except OSError as error:
            say(f"note             not stored in {self.path.name}: {error.strerror}")
        else:
            stored = " and ".join(key.partition(".")[2] for key in self.news)
            say(f"stored           {stored} in {self.path.name}; from now on it knows")
        self.news = {}


def open_model(options: argparse.Namespace, say: Say) -> Described:
    """Open the session that the command line asks for, and say what was compiled.

    Raises:
        KryptonError: if the file is no model, or one that cannot be compiled.
        ValueError: if preprocessing or labels do not fit, the preprocessing is not known, or the model's input is no
            picture.
    """
    opened = open_given(options, say, options.device, options.precision)
    session, path = opened.session, opened.path
    if len(session.spatial) != 2:
        kind = KINDS[len(session.spatial)]
        raise ValueError(
            f"{options.model}: its input is a {kind} of {list(session.spatial)}; this command is "
            "for pictures. In Python, explain() takes it as an array"
        )
    if session.annotation.channels not in (1, 3):
        raise ValueError(
            f"{options.model}: its input has {session.annotation.channels} channels; pictures have 3 (colour) or 1 "
            "(grey). In Python, explain() takes the input as an array"
        )
    return _described(session, path, options, say)


def open_given(options: argparse.Namespace, say: Say, device: str = "cpu", precision: str | None = None) -> Opened:
    """Open the model of a command line, which may be compiled or not, and say what was compiled.

    Raises:
        KryptonError: if the file is no model, or one that cannot be compiled.
        ValueError: if it is compiled already, and options say what should be compiled.
    """
    arguments = model_arguments(options)
    opened = open_compiled(options.model, Export(**arguments), device, options.threads, precision)
    if opened.compiled is not None:
        say(f"model            {'compiled into' if opened.compiled else 'found compiled in'} the cache, {opened.path}")
    elif arguments:
        flags, session = model_flags(), opened.session
        given, size = ", ".join(flags[name] for name in arguments), " x ".join(map(str, session.spatial))
        raise ValueError(
            f"{given}: {options.model} is compiled already (it was compiled as {session.layout} of {size}), and what "
            "would be chosen is fixed in it. Leave the options out, or give the model that it was compiled from"
        )
    return opened


def _described(session: OcclusionSession, path: Path, options: argparse.Namespace, say: Say) -> Described:
    """A session that knows what the options say of pictures and classes, and what its file does not know yet."""
    other = f"is another one; this run uses what was given. To change the file's, compile it again (or delete {path})"
    preprocessing = read_preprocessing(options, session.preprocessing)
    news: dict[str, str] = {}
    if session.preprocessing is None:
        news[PREPROCESSING_KEY] = preprocessing.to_json()
    elif session.preprocessing != preprocessing:
        say(f"note             the file's own preprocessing {other}")
    labels = None
    if options.labels is not None:
        labels = read_labels(options.labels, session.classes)
        if session.labels is None:
            news[LABELS_KEY] = write_labels(labels)
        elif session.labels != labels:
            say(f"note             the file's own list of labels {other}")
    return Described(session.described(preprocessing, labels), path, news)


def find_original(model: Path, session: OcclusionSession) -> Path | None:
    """Find the model that was compiled: ``model`` itself, or what lies beside the compiled file, known by its hash."""
    name = model.name.removesuffix(".onnx").removesuffix(".tuned").removesuffix(".krypton") + ".onnx"
    original = model.with_name(name)
    if session.source_sha256 is None or not original.is_file():
        return None
    from krypton_compile.files.loading import sha256  # onnx-ir: for verification only

    return original if sha256(original) == session.source_sha256 else None
