"""``python -m benchmarks.maps.calibration.collect``: exact maps for the calibration, kept in a folder, one file each.

Three real models on their pictures, and random relatives of them (relatives.py) on photographs, patch 16 and 32 at
stride 4: coarser strides are parts of these grids. Kept are the scores and the logits of some classes, the first and
others down to the last. What is in the folder is not made again, so the script may be stopped at any time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.maps.calibration.relatives import make_relative
from benchmarks.maps.core import pictures_of
from krypton_compile import compile
from krypton_compile.contract.geometry import occlusion_grid
from krypton_compile.runtime import OcclusionSession
from krypton_compile.runtime.engine.occlusion import Occlusion
from krypton_compile.runtime.inputs.prepare import baseline_input, prepare
from models.fetch import fetch
from models.preprocess import RECIPES, SIZES

STRIDE = 4
RANKS = (0, 1, 4, 49, 499, -1)
"""Places of the kept classes in the order of the image's own scores."""
_SURE_OF = 8
ROUND = 2
"""Pictures of each network, one network after the other; of the next ones in the next round."""


@dataclass(frozen=True)
class Job:
    """One map to make: a model (relative 0 is the real one), a picture, and the size of the window."""

    model: str
    relative: int
    picture: Path
    patch: int

    @property
    def name(self) -> str:
        """The name of its file, without ending."""
        return f"{self.model}-{self.relative:02d}-{self.picture.stem}-p{self.patch}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where maps are kept")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("KRYPTON_DATA", "data")))
    parser.add_argument("--models", nargs="*", default=["squeezenet1_1", "efficientnet_lite0", "vgg16_tumour"])
    parser.add_argument("--relatives", type=int, default=20, help="of each model that has some (default %(default)s)")
    parser.add_argument("--relatives-of", nargs="*", default=["squeezenet1_1"], help="(default %(default)s)")
    parser.add_argument("--pictures", type=int, default=20, help="a network (default %(default)s)")
    parser.add_argument("--patches", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    jobs = [job for job in _jobs(options) if not (options.folder / f"{job.name}.npz").exists()]
    print(f"{len(jobs)} maps to make", flush=True)
    session, opened = None, None
    with tempfile.TemporaryDirectory() as work:
        for number, job in enumerate(jobs):
            if opened != (job.model, job.relative):
                session, opened = _open(job, options, Path(work)), (job.model, job.relative)
            assert session is not None
            _make(job, session, options.folder / f"{job.name}.npz")
            print(f"{number + 1} of {len(jobs)}: {job.name}", flush=True)
    return 0


def _jobs(options: argparse.Namespace) -> Iterator[Job]:
    """In rounds: each has a few pictures of every network, so that what is there at any time is balanced.

    Relatives of even number see the pictures at even places only, and odd ones the others: what is fitted on one half
    of the pictures is checked on other pictures, and on other relatives.
    """
    networks = [(model, 0) for model in options.models]
    networks += [(model, number) for model in options.relatives_of for number in range(1, options.relatives + 1)]
    for patch in options.patches:
        for first in range(0, options.pictures, ROUND):
            for model, relative in networks:
                pictures = pictures_of(model, options.data, 10**6)
                if relative:
                    own = pictures[relative % 2 :: 2]
                    turn = 3 * relative % len(own)
                    pictures = own[turn:] + own[:turn]
                for picture in pictures[: options.pictures][first : first + ROUND]:
                    yield Job(model, relative, picture, patch)


def _open(job: Job, options: argparse.Namespace, work: Path) -> OcclusionSession:
    path = fetch(job.model)
    if job.relative:
        recipe, made = RECIPES[job.model], options.folder / f"{job.model}-{job.relative:02d}.onnx"
        pictures = pictures_of(job.model, options.data, _SURE_OF)
        layout = "NCHW"
        images = [prepare(picture, recipe, SIZES[job.model], layout=layout).tensor for picture in pictures]
        make_relative(path, made, job.relative, images)
        path = made
    compiled = work / f"{job.model}-{job.relative:02d}.krypton.onnx"
    if not compiled.exists():
        compile(path, compiled)
    return OcclusionSession(compiled, threads=options.threads)


def _make(job: Job, session: OcclusionSession, path: Path) -> None:
    recipe = RECIPES[job.model]
    image = prepare(job.picture, recipe, session.image_size, layout=session.layout).tensor
    blank = baseline_input("black", recipe, session.image_size, layout=session.layout)
    boxes = occlusion_grid(session.image_size, (job.patch, job.patch), (STRIDE, STRIDE))
    prepared = session.scorer.prepare(image, blank)
    order = np.argsort(-prepared.base_scores, kind="stable")
    ranks = [rank for rank in RANKS if rank < len(order)]
    classes = np.array(sorted({int(order[rank]) for rank in ranks}))
    found = session.scorer.score(prepared, Occlusion(boxes), classes=classes.tolist())
    rows = {"scores": found.scores, "base_scores": found.base_scores[classes]}
    if found.logits is not None:
        rows |= {"logits": found.logits, "base_logits": found.base_logits[classes]}
    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        classes=classes,
        ranks=np.argsort(order)[classes],
        size=np.array(session.image_size),
        unchanged=~session.scorer.changes(prepared, boxes),
        **{name: np.asarray(values, np.float32) for name, values in rows.items()},
    )
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
