"""``krypton-explain model.onnx images``: make heat maps of pictures on disk.

The files of a picture, PREFIX_overlay.png, PREFIX_heatmap.npy (float32 [H, W], NaN where no window lies) and
PREFIX_result.json, appear together, whole or not at all. Errors are one line. Exit codes: 0, all went well; 1, some
pictures could not be read and were skipped; 2, bad options, model or place to write to; 130, interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from krypton_compile.cli.explain_options import explain_parser
from krypton_compile.cli.notes import noted
from krypton_compile.errors import KryptonError

SKIPPED, BAD, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = explain_parser(words).parse_args(words)
    try:
        from krypton_compile.cli.explain_pictures import explain_all  # onnxruntime: not for --help

        with noted(_note):
            skipped = explain_all(options, _say, _complain)
    except (KryptonError, ValueError, OSError) as error:
        _complain(f"error: {' '.join(str(error).split())}")
        return BAD
    except KeyboardInterrupt:
        left = "the last map stays" if options.mode == "progressive" else "what was not finished is not written"
        _complain(f"interrupted; {left}")
        return INTERRUPTED
    return SKIPPED if skipped else 0


def _say(line: str) -> None:
    print(line, flush=True)


def _note(text: str) -> None:
    _say(f"note             {text}")


def _complain(text: str) -> None:
    print(f"krypton-explain: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
