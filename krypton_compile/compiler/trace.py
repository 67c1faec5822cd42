"""A trace: the model after each pass, as files to look into and to run, and a table of the passes.

    01_frontend_accept_spellings.onnx ... 52_clean_up_remove_unused_nodes.onnx    the model after each pass
    trace.weights                                                                 the weights of them all, each once
    trace.txt                                                                     pass, nodes before and after, seconds

Every file is a whole model, whose weights of more than a kilobyte are external data in `trace.weights`. While the
incremental body is not a part of the graph yet, its nodes stand behind those of the base graph, and its own inputs
(`chunk.boxes`, `chunk.offsets`) and outputs are the graph's. A pass that fails is a line of the table without a file;
what was written before it stays. `unchanged` is a pass whose file is the one of the pass before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import onnx
import onnx_ir as ir

from krypton_compile.compiler.trace_files import SharedWeights, body_to_proto, count_nodes, graph_to_proto, to_light
from krypton_compile.disk.write import create
from krypton_compile.passes.body import BODY, IncrementalBody
from krypton_compile.passes.frontend import FRONTEND, SourceModel
from krypton_compile.passes.runner import Observer, Pass
from krypton_compile.passes.simplify import CLEAN_UP, SIMPLIFY
from krypton_compile.stages import one_line

TABLE, WEIGHTS = "trace.txt", "trace.weights"
_STAGES: dict[str, Sequence[Pass[Any]]] = {
    "frontend": FRONTEND,
    "simplify": SIMPLIFY,
    "body": BODY,
    "clean_up": CLEAN_UP,
}
_OURS = re.compile(rf"\d{{2,}}_({'|'.join(_STAGES)})_\w+\.onnx|{re.escape(WEIGHTS)}|{re.escape(TABLE)}")
_WIDTHS = (3, max(map(len, _STAGES)), max(len(each.name) for passes in _STAGES.values() for each in passes), 6, 6, 8)
_HEADER = ("#", "stage", "pass", "before", "after", "seconds", "")
_Subject = TypeVar("_Subject")


@dataclass(frozen=True)
class Watch:
    """The observers of a compilation's stages; None where nobody watches."""

    frontend: Observer[SourceModel] | None = None
    simplify: Observer[ir.Model] | None = None
    body: Observer[IncrementalBody] | None = None
    clean_up: Observer[ir.Model] | None = None


class Trace:
    """A trace while it is written; entered, it gives the observers of the stages."""

    def __init__(self, folder: Path, source: onnx.ModelProto) -> None:
        """Prepare the folder.

        Args:
            folder: where to write; it is made if it does not exist, and an earlier trace in it is deleted.
            source: the model before the first pass.

        Raises:
            OSError: if ``folder`` is no folder, holds something else than a trace, or cannot be written.
        """
        self._folder = folder
        self._nodes = count_nodes(source.graph)
        self._before = b""
        self._number = 0
        _prepare(folder)
        self._table: BinaryIO | None = None
        self._weights = SharedWeights(folder / WEIGHTS)

    def __enter__(self) -> Watch:
        self._table = create(self._folder / TABLE)
        self._write(_line(*_HEADER))
        self._weights.__enter__()
        return Watch(
            self._observe("frontend", lambda source: to_light(source.proto, self._weights)),
            self._observe("simplify", lambda model: graph_to_proto(model, self._weights)),
            self._observe("body", lambda body: body_to_proto(body, self._weights)),
            self._observe("clean_up", lambda model: graph_to_proto(model, self._weights)),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._weights.__exit__(kind, error, where)
        if self._table is not None:
            self._table.close()

    def _observe(self, stage: str, to_proto: Callable[[_Subject], onnx.ModelProto]) -> Observer[_Subject]:
        def observe(name: str, subject: _Subject, seconds: float, failure: BaseException | None) -> None:
            self._number += 1
            if failure is not None:
                self._add(stage, name, "-", seconds, f"failed: {one_line(failure)}")
                return
            proto = to_proto(subject)
            content = proto.SerializeToString(deterministic=True)
            with create(self._folder / f"{self._number:02d}_{stage}_{name}.onnx") as file:
                file.write(content)
            after = count_nodes(proto.graph)
            self._add(stage, name, str(after), seconds, "unchanged" if content == self._before else "")
            self._before, self._nodes = content, after

        return observe

    def _add(self, stage: str, name: str, after: str, seconds: float, remark: str) -> None:
        self._write(_line(str(self._number), stage, name, str(self._nodes), after, f"{seconds:.3f}", remark))

    def _write(self, line: str) -> None:
        assert self._table is not None
        self._table.write(f"{line}\n".encode("utf-8", "backslashreplace"))
        self._table.flush()


class NoTrace:
    """Nobody watches."""

    def __enter__(self) -> Watch:
        return Watch()

    def __exit__(self, *_: object) -> None:
        pass


def _line(*cells: str) -> str:
    *row, remark = cells
    columns = [cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=True)]
    columns[3:] = [cell.rjust(width) for cell, width in zip(row[3:], _WIDTHS[3:], strict=True)]
    return "  ".join([*columns, remark]).rstrip()


def _prepare(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir()
        return
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder for the trace, found a file")
    files = sorted(folder.iterdir())
    others = [file.name for file in files if not _OURS.fullmatch(file.name) or file.is_symlink() or not file.is_file()]
    if files and (others or folder / TABLE not in files):
        raise FileExistsError(
            f"{folder}: expected a new or an empty folder for the trace, or one that holds an earlier trace alone, "
            f"found '{(others or [files[0].name])[0]}' in it"
        )
    for file in files:
        file.unlink()
