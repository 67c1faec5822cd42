"""The command line of the compiler, ``krypton-compile``; frame/command.py lists its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from krypton_compile.cli.choices import DEVICES
from krypton_compile.cli.frame.command import DONE, epilog, run_command
from krypton_compile.cli.frame.terminal import Terminal
from krypton_compile.cli.model_options import add_model_options, model_arguments
from krypton_compile.cli.options import MOST_PIXELS, Parser, add_common_options, add_preprocessing_options, whole
from krypton_compile.disk.read import read_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    return run_command(Terminal("krypton-compile", "note: "), _parser, _compile, arguments)


def _compile(options: argparse.Namespace, terminal: Terminal) -> int:
    # These import onnx: not for --help.
    from krypton_compile.cli.labels_beside import count_classes, find_labels
    from krypton_compile.cli.named import check_named, named_files, of_option
    from krypton_compile.cli.outputs import MODEL, REPORT, Outputs, model_inputs, weights_of
    from krypton_compile.cli.recipe import asked_preprocessing
    from krypton_compile.compiler.pipeline import compile
    from krypton_compile.contract.annotations import LABELS_KEY, write_labels
    from krypton_compile.contract.labels import read_labels
    from krypton_compile.files.loading import save_proto

    output, files = options.output or _default_output(options.model), named_files(options)
    check_named(files)
    outputs = Outputs([*model_inputs(options.model), *files.values()], options.force)
    outputs.claim(output, "--output", MODEL)
    outputs.check(weights_of(output), "--output")
    if options.report:
        outputs.claim(options.report, "--report", REPORT)
    if options.trace:
        outputs.check_folder(options.trace, "--trace")
    labels = None
    if options.labels:
        with of_option("--labels", options.labels):
            labels = read_labels(options.labels)
    with _printed(options.trace, terminal):
        compiled, report = compile(
            options.model,
            patch_size=options.patch_size,
            stride=options.stride,
            verify=options.verify,
            preprocessing=asked_preprocessing(options),
            labels=labels,
            explain_fallbacks=options.explain_fallbacks,
            target=options.target,
            trace=options.trace,
            **model_arguments(options),
        )
    named = any(entry.key == LABELS_KEY for entry in compiled.metadata_props)
    beside = None if named else find_labels(options.model, count_classes(compiled))
    if beside is not None:
        compiled.metadata_props.add(key=LABELS_KEY, value=write_labels(beside[1]))
        report.notes.append(f"the names of the classes are those of {beside[0]}, beside the model")
    save_proto(compiled, output, {options.report: report.to_json()} if options.report else {})
    terminal.left = "what was written is whole"
    terminal.say_all(report.lines())
    weights = weights_of(output)
    written = [output, weights if weights.is_file() else None, options.report, options.trace]
    terminal.say(f"wrote {outputs.listed([path for path in written if path])}")
    return DONE


@contextmanager
def _printed(trace: Path | None, terminal: Terminal) -> Iterator[None]:
    """Print the table of the trace that is written inside, also if that ends in an error."""
    from krypton_compile.compiler.trace import TABLE  # onnx: not for --help

    table = None if trace is None else trace / TABLE
    earlier = _age(table)
    try:
        yield
    finally:
        if table is not None and _age(table) != earlier:
            terminal.say_all(read_text(table).rstrip("\n").split("\n"))


def _age(path: Path | None) -> int | None:
    return path.stat().st_mtime_ns if path is not None and path.is_file() else None


def _default_output(model: Path) -> Path:
    return model.with_name(model.name.removesuffix(".onnx") + ".krypton.onnx")


def _parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = Parser(
        prog="krypton-compile",
        description="Compile an ONNX classifier of images, signals or volumes for exact, fast occlusion explanations.",
        epilog=f"Then run: krypton-explain MODEL.krypton.onnx IMAGE\n\n{epilog()}",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="the classifier to compile")
    _add_files(parser)
    add_model_options(parser, words, "what the model leaves open, and how it is compiled")
    _add_compilation(parser)
    _add_classes(parser)
    add_preprocessing_options(
        parser,
        "It is stored in the compiled model, so that krypton-explain need not be told. Single options win over "
        "--preprocess.",
        "not stored",
    )
    add_common_options(parser)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group("what is written")
    files.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write the compiled model (default: MODEL.krypton.onnx beside the model)",
    )
    files.add_argument(
        "--report",
        type=Path,
        metavar="FILE.json",
        help="write the report of all layers as JSON, too (default: it is only printed)",
    )
    files.add_argument(
        "--trace",
        type=Path,
        metavar="DIR",
        help="write the model after each pass of the compiler into the folder DIR, and print a table of the passes, "
        "with nodes and times. DIR is made if it does not exist; an earlier trace in it is deleted (default: no trace)",
    )


def _add_classes(parser: argparse.ArgumentParser) -> None:
    classes = parser.add_argument_group("what the compiled model remembers")
    classes.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="the names of the classes: one a line, JSON, or config.json of Hugging Face or timm (default: those of "
        "the model's own metadata, or of labels.txt, config.json and the like beside it, if they name each class)",
    )


def _add_compilation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is compiled and reported")
    group.add_argument(
        "--target",
        choices=DEVICES,
        default="cpu",
        help="the execution provider that will run the compiled model; for cuda, what would make a GPU wait is left "
        "out (default: %(default)s)",
    )
    group.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare some positions with the original model, and write nothing if they differ (default: compare)",
    )
    group.add_argument(
        "--patch-size",
        type=whole(1, MOST_PIXELS),
        default=16,
        metavar="N",
        help="width of the window that the report counts work for, in pixels (default: %(default)s)",
    )
    group.add_argument(
        "--stride",
        type=whole(1, MOST_PIXELS),
        default=4,
        metavar="N",
        help="distance between neighbouring windows of the report, in pixels (default: %(default)s)",
    )
    group.add_argument(
        "--explain-fallbacks",
        action="store_true",
        help="let the report say which ops are computed for whole maps, why, and what each of them costs (default: "
        "only which and why)",
    )


if __name__ == "__main__":
    sys.exit(main())
