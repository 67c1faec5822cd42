"""Command-line options that change what is compiled: krypton-compile, krypton-explain and krypton-tune share them.

Each is stored under the name of the argument of ``krypton_compile.compile`` that it is. So an option that is added
here is taken by all three commands, and is part of the name under which the cache keeps a model that was compiled on
the fly.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from krypton_compile.cli.choices import LAYOUTS
from krypton_compile.cli.named import of_option
from krypton_compile.cli.options import whole
from krypton_compile.disk.read import read_array

UNCOMPILED = "a model that is not compiled yet"
"""The options' title in commands that also take compiled files."""


def add_model_options(parser: argparse.ArgumentParser, words: Sequence[str] = (), title: str = UNCOMPILED) -> None:
    """Add the options under ``title``; ``words`` are those of the command line, for the number of sizes in them."""
    group = parser.add_argument_group(title)
    sizes = _count_sizes(words)
    group.add_argument(
        "--image-size",
        type=whole(1, 1 << 24),
        nargs=sizes,
        metavar={1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}[sizes],
        help="the image's size where the model's is symbolic: H W of a picture, L of a signal, D H W of a volume "
        "(default: the model's)",
    )
    group.add_argument(
        "--layout",
        choices=LAYOUTS,
        metavar="AXES",
        help="the order of the image's axes, N the batch and C the channels: NCHW, NHWC, NCL and the like; NHW, HWC or "
        "HW where the model has no axis for one of them; flat-NCHW where all but the batch are one axis (default: told "
        "from its shape and from what reads it)",
    )
    group.add_argument(
        "--channels",
        type=whole(1, 1 << 16),
        metavar="C",
        help="the image's number of channels where the model leaves it open (default: told from what reads the image)",
    )
    group.add_argument(
        "--input-name", metavar="NAME", help="which input is the image (default: the only one that can be)"
    )
    group.add_argument(
        "--hold",
        dest="held",
        action="append",
        metavar="NAME=VALUE",
        help="hold an input beside the image at a value: a number, several with commas between, or an .npy file; may "
        "be repeated",
    )
    group.add_argument(
        "--output-name", metavar="NAME", help="which output holds the class scores (default: the only output)"
    )
    group.add_argument(
        "--output-index",
        type=_indices,
        metavar="I[,I...]",
        help="which element of the scores is a row of classes, where they have more axes than batch and classes: an "
        "index for each axis behind the batch, ':' where an axis stays; write --output-index=-1 for the last of "
        "[N, T, classes] (default: none)",
    )
    group.add_argument(
        "--frozen-gates",
        action="store_true",
        default=None,
        help="let squeeze-and-excitation gates keep the image's own values, so that what follows them is incremental: "
        "approximate, and its maps say so (default: exact)",
    )
    group.add_argument(
        "--chunk",
        type=whole(1, 1 << 16),
        metavar="N",
        help="how many positions of a window are computed at once (default: 32 on a CPU and 512 on a GPU, fewer where "
        "whole maps are large)",
    )


def model_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Name the arguments of ``krypton_compile.compile`` that the command line gives, without those it leaves open.

    Raises:
        OSError: if a file of --hold cannot be read.
        ValueError: if a --hold is not NAME=VALUE.
    """
    given = {name: getattr(options, name) for name in model_flags() if getattr(options, name) is not None}
    return {name: _READERS[name](value) if name in _READERS else value for name, value in given.items()}


def model_flags() -> dict[str, str]:
    """The option that stands for each argument of ``krypton_compile.compile``."""
    parser = argparse.ArgumentParser(add_help=False)
    add_model_options(parser)
    return {action.dest: action.option_strings[-1] for action in parser._actions}


def _indices(text: str) -> tuple[int | None, ...]:
    """Indices with commas between; ':' keeps an axis."""
    index = whole(-(1 << 31), 1 << 31)
    try:
        return tuple(None if part.strip() == ":" else index(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text[:100]!r}; expected indices with commas between, such as -1 or 0,:"
        ) from None


def _held(texts: Sequence[str]) -> dict[str, Any]:
    """Read each NAME=VALUE: a number, several with commas, or an .npy file."""
    import numpy as np  # not for --help

    held = {}
    for text in texts:
        name, _, value = text.partition("=")
        if value.endswith(".npy"):
            with of_option(f"--hold {name}", value):
                held[name] = read_array(value)
            continue
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            raise ValueError(
                f"--hold {text[:100]}: expected NAME=NUMBER, NAME=NUMBER,NUMBER,... or NAME=FILE.npy"
            ) from None
        held[name] = np.array(numbers[0] if len(numbers) == 1 else [numbers])
    return held


_READERS: dict[str, Callable[[Any], Any]] = {"image_size": tuple, "held": _held}
"""From the words of a command line to the argument, where they are not the same."""


def _count_sizes(words: Sequence[str]) -> int:
    """Count the numbers that follow --image-size: 1 of a signal, 3 of a volume, else 2. The model may come next."""
    if "--image-size" not in words:
        return 2
    after = words[words.index("--image-size") + 1 :]
    count = next((at for at, text in enumerate(after) if not text.isdecimal()), len(after))
    return count if count in (1, 3) else 2
