"""``krypton-explain model.onnx images``: make heat maps of pictures on disk.

The files of a picture, PREFIX_overlay.png, PREFIX_heatmap.npy (float32 [H, W], NaN where no window lies) and
PREFIX_result.json, appear together, whole or not at all. Errors are one line; frame/command.py lists the exit codes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from krypton_compile.cli.explain_options import explain_parser
from krypton_compile.cli.frame.command import DONE, SKIPPED, run_command
from krypton_compile.cli.frame.terminal import Terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(Terminal("krypton-explain"), explain_parser, _explain, arguments)


def _explain(options: argparse.Namespace, terminal: Terminal) -> int:
    from krypton_compile.cli.explain_pictures import explain_all  # onnxruntime: not for --help

    return SKIPPED if explain_all(options, terminal) else DONE


if __name__ == "__main__":
    sys.exit(main())
