"""The command line of the compiler, ``krypton-compile``: exit code 2 and one clear line for what a user can mend."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from krypton_compile.contract.annotations import TARGETS
from krypton_compile.contract.layouts import LAYOUTS
from krypton_compile.errors import KryptonError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(_count_sizes(words)).parse_args(words)
    output = options.output or _default_output(options.model)
    try:
        _compile(options, output)
    except (KryptonError, ValueError, OSError) as error:
        print(f"krypton-compile: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _compile(options: argparse.Namespace, output: Path) -> None:
    # These import onnx: not for --help.
    from krypton_compile.compiler.pipeline import compile
    from krypton_compile.contract.labels import read_labels

    if output.resolve() == options.model.resolve():
        raise ValueError(f"the output {output} would overwrite the model; choose another with -o")
    with _printed(options.trace):
        _, report = compile(
            options.model,
            output,
            image_size=tuple(options.image_size) if options.image_size else None,
            input_name=options.input_name,
            output_name=options.output_name,
            layout=options.layout,
            chunk=options.chunk,
            patch_size=options.patch_size,
            stride=options.stride,
            verify=options.verify,
            preprocessing=options.preprocess,
            labels=read_labels(options.labels) if options.labels else None,
            frozen_gates=options.frozen_gates,
            explain_fallbacks=options.explain_fallbacks,
            target=options.target,
            held=dict(_held(text) for text in options.hold),
            trace=options.trace,
        )
    if options.report:
        report.save(options.report)
    print(report)
    print(f"wrote {output}")


@contextmanager
def _printed(trace: Path | None) -> Iterator[None]:
    """Print the table of the trace that is written inside, also if that ends in an error."""
    from krypton_compile.compiler.trace import TABLE  # onnx: not for --help

    table = None if trace is None else trace / TABLE
    earlier = _age(table)
    try:
        yield
    finally:
        if table is not None and _age(table) != earlier:
            print(table.read_text("utf-8"))


def _age(path: Path | None) -> int | None:
    return path.stat().st_mtime_ns if path is not None and path.is_file() else None


def _held(text: str) -> tuple[str, Any]:
    """Read NAME=VALUE: a number, several with commas, or an .npy file."""
    import numpy as np  # not for --help

    name, _, value = text.partition("=")
    if value.endswith(".npy"):
        return name, np.load(value)
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        raise ValueError(f"--hold {text}: expected NAME=NUMBER, NAME=NUMBER,NUMBER,... or NAME=FILE.npy") from None
    return name, np.array(numbers[0] if len(numbers) == 1 else [numbers])


def _default_output(model: Path) -> Path:
    return model.with_name(model.name.removesuffix(".onnx") + ".krypton.onnx")


def _count_sizes(arguments: Sequence[str]) -> int:
    """Count the numbers that follow --image-size: 1 of a signal, 3 of a volume, else 2. The model may come next."""
    if "--image-size" not in arguments:
        return 2
    after = arguments[arguments.index("--image-size") + 1 :]
    count = next((at for at, text in enumerate(after) if not text.isdecimal()), len(after))
    return count if count in (1, 3) else 2


def _parser(sizes: int = 2) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="krypton-compile",
        description="Compile an ONNX classifier of images, signals or volumes for exact, fast occlusion explanations.",
        epilog="Then run: krypton-explain MODEL.krypton.onnx IMAGE",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="the classifier to compile")
    _add_files(parser)
    _add_model(parser, sizes)
    _add_pictures(parser)
    _add_compilation(parser)
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


def _add_model(parser: argparse.ArgumentParser, sizes: int) -> None:
    model = parser.add_argument_group("what the model leaves open")
    model.add_argument(
        "--image-size",
        type=int,
        nargs=sizes,
        metavar={1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}[sizes],
        help="the image's size where the model's is symbolic: H W of a picture, L of a signal, D H W of a volume "
        "(default: the model's)",
    )
    model.add_argument(
        "--layout",
        choices=LAYOUTS,
        help="the order of the image's axes, N the batch and C the channels (default: told from its shape and from "
        "what reads it)",
    )
    model.add_argument(
        "--input-name", metavar="NAME", help="which input is the image (default: the only one that can be)"
    )
    model.add_argument(
        "--hold",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="hold an input beside the image at a value: a number, several with commas between, or an .npy file; may "
        "be repeated",
    )
    model.add_argument(
        "--output-name", metavar="NAME", help="which output holds the class scores (default: the only output)"
    )


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    pictures = parser.add_argument_group("what the compiled model remembers")
    pictures.add_argument(
        "--preprocess",
        metavar="PRESET|FILE.json",
        help="how pictures become the model's input: imagenet, unit, tf, caffe, none, or a Hugging Face "
        "preprocessor_config.json (default: not stored, so that krypton-explain must be told)",
    )
    pictures.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="the names of the classes, one a line or JSON (default: not stored, so that classes are numbers)",
    )


def _add_compilation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is compiled")
    group.add_argument(
        "--target",
        choices=TARGETS,
        default="cpu",
        help="the execution provider that will run the compiled model; for cuda, what would make a GPU wait is left "
        "out (default: %(default)s)",
    )
    group.add_argument(
        "--frozen-gates",
        action="store_true",
        help="let squeeze-and-excitation gates keep the image's own values, so that what follows them is incremental: "
        "approximate, and its maps say so (default: exact)",
    )
    group.add_argument(
        "--chunk",
        type=int,
        metavar="N",
        help="how many positions of a window are computed at once (default: 32 on a CPU and 512 on a GPU, fewer where "
        "whole maps are large)",
    )
    group.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare some positions with the original model, and write nothing if they differ (default: compare)",
    )
    group.add_argument(
        "--patch-size",
        type=int,
        default=16,
        metavar="N",
        help="width of the window that the report counts work for, in pixels (default: %(default)s)",
    )
    group.add_argument(
        "--stride",
        type=int,
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
