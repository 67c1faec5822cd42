"""From the path of a model, compiled or not, to a session that knows how pictures become its input.

    model.krypton.onnx   opened as it is
    model.onnx           compiled into the cache first (krypton_compile/cache.py), or found there

What the user says of preprocessing and labels is stored in the compiled file if it does not know it yet, so that it
need be said only once.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

from krypton_compile.annotations import LABELS_KEY, PREPROCESSING_KEY, write_labels
from krypton_compile.cache import compile_cached
from krypton_compile.errors import NotCompiledError
from krypton_compile.runtime.labels import read_labels
from krypton_compile.runtime.options import UNKNOWN_PREPROCESSING, read_preprocessing
from krypton_compile.runtime.session import OcclusionSession
from krypton_compile.runtime.stored import store

Say = Callable[[str], None]


def open_model(options: argparse.Namespace, say: Say) -> OcclusionSession:
    """The session that the command line asks for; says what was compiled and what was stored.

    Raises:
        KryptonError: no model, or one that cannot be compiled.
        ValueError: a preprocessing or labels that do not fit, or none where pictures need it.
    """
    path = options.model
    try:
        session = _open(path, options)
    except NotCompiledError:
        size = tuple(options.image_size) if options.image_size else None
        compiled, new = compile_cached(path, layout=options.layout, image_size=size)
        say(f"model            {'compiled into' if new else 'found compiled in'} the cache, {compiled}")
        path = compiled
        session = _open(path, options)
    if options.layout not in (None, session.layout):
        raise ValueError(
            f"--layout {options.layout}: {options.model} was compiled as {session.layout}; compile it again"
        )
    _describe(session, path, options, say)
    return session


def _open(path: Path, options: argparse.Namespace) -> OcclusionSession:
    return OcclusionSession(path, threads=options.threads, precision=options.precision)


def _describe(session: OcclusionSession, path: Path, options: argparse.Namespace, say: Say) -> None:
    """Gives the session what the options say of pictures and classes; stores what the file does not know."""
    known = session.preprocessing
    session.preprocessing = read_preprocessing(options, known)
    if session.preprocessing is None:
        raise ValueError(UNKNOWN_PREPROCESSING)
    session.preprocessing.check_fits(session.image_size, session.annotation.channels)
    entries: dict[str, str] = {}
    if known is None:
        entries[PREPROCESSING_KEY] = session.preprocessing.to_json()
    elif known != session.preprocessing:
        say("note             the file's own preprocessing is another one; this run uses what was given")
    if options.labels is not None:
        labels = read_labels(options.labels, session.classes)
        if session.labels is None:
            entries[LABELS_KEY] = write_labels(labels)
        session.labels = labels
    if entries:
        try:
            store(path, entries)
        except OSError as error:
            say(f"note             not stored in {path.name}: {error.strerror}")
        else:
            stored = " and ".join(key.partition(".")[2] for key in entries)
            say(f"stored           {stored} in {path.name}; from now on it knows")


def find_original(model: Path, session: OcclusionSession) -> Path | None:
    """The model that was compiled: ``model`` itself, or what lies beside the compiled file, known by its hash."""
    name = model.name.removesuffix(".onnx").removesuffix(".tuned").removesuffix(".krypton") + ".onnx"
    original = model.with_name(name)
    if session.source_sha256 is None or not original.is_file():
        return None
    with original.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return original if found == session.source_sha256 else None
