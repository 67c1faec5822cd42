"""``krypton-compile``: the compiler's command line. Exit code 2 and one clear line for what a user can mend."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from krypton_compile.contract.annotations import TARGETS
from krypton_compile.contract.layouts import LAYOUTS
from krypton_compile.errors import KryptonError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(_count_sizes(given)).parse_args(given)
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
    )
    if options.report:
        report.save(options.report)
    for line in report.lines():
        print(line)
    print(f"wrote {output}")


def _held(text: str) -> tuple[str, Any]:
    """NAME=VALUE, a number, several with commas, or an .npy file."""
    import numpy as np

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
    """How many numbers follow --image-size: 1 of a signal, 3 of a volume, else 2. The model may stand behind them."""
    if "--image-size" not in arguments:
        return 2
    after = arguments[arguments.index("--image-size") + 1 :]
    count = next((at for at, text in enumerate(after) if not text.isdecimal()), len(after))
    return count if count in (1, 3) else 2


def _parser(sizes: int = 2) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="krypton-compile",
        description="Compile an ONNX image classifier for exact, fast occlusion explanations.",
        epilog="Then: krypton-explain MODEL.krypton.onnx IMAGE",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", type=Path, help="default: MODEL.krypton.onnx beside the model")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write the per-layer report as JSON")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=sizes,
        metavar={1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}[sizes],
        help="for a model whose image size is symbolic; of a signal L, of a volume D H W",
    )
    parser.add_argument("--layout", choices=LAYOUTS, help="where the shapes leave it open")
    parser.add_argument("--input-name", help="the image input")
    parser.add_argument(
        "--hold",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input beside the image, held at a number, several with commas, or an .npy file",
    )
    parser.add_argument("--output-name", help="the class scores, of several outputs")
    parser.add_argument(
        "--preprocess",
        metavar="PRESET|FILE.json",
        help="how it wants its pictures: imagenet, unit, tf, caffe, none or a preprocessor_config.json; stored",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="its classes, one a line or JSON; stored in the compiled file"
    )
    parser.add_argument("--patch-size", type=int, default=16, help="patch of the report (default %(default)s)")
    parser.add_argument("--stride", type=int, default=4, help="stride of the report (default %(default)s)")
    parser.add_argument(
        "--frozen-gates",
        action="store_true",
        help="approximate: squeeze-and-excitation gates keep the image's values, so that what follows is incremental",
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default="cpu",
        help="the execution provider that will run it: cuda leaves out what makes a GPU wait (default %(default)s)",
    )
    parser.add_argument(
        "--explain-fallbacks", action="store_true", help="say which ops make regions dense, and what each of them costs"
    )
    parser.add_argument("--chunk", type=int, help="positions of a Scan iteration; chosen by memory when not given")
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare some positions with the original model, write nothing if they differ (default: on)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
