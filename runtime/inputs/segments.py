"""Regions of an image that are hidden one after the other: a label map, a picture of labels, or superpixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from krypton_compile.contract import validate
from krypton_compile.contract.preprocessing import Preprocessing
from krypton_compile.disk.picture import decoding, open_picture
from krypton_compile.errors import FileError, OcclusionError
from krypton_compile.runtime.inputs.resized import resized

SLIC = "slic:"


def read_segments(
    segments: object,
    picture: npt.NDArray[np.uint8] | None,
    preprocessing: Preprocessing | None,
    size: tuple[int, ...],
) -> npt.NDArray[np.generic]:
    """Labels of the model's spatial ``size``; an array as it is, which windows.py checks.

    Args:
        segments: integers [H, W], or of the shape of a signal or volume; of pictures also the path of a picture of
            labels, or the picture, of any integer depth or with one colour a label; or "slic:N", about N superpixels.
        picture: what the model sees, [H, W, 3]; None of a signal or volume.
        preprocessing: a label picture of another size goes through its resizing, every pixel keeping its label.
        size: (H, W), and likewise of signals and volumes.

    Raises:
        OcclusionError: if ``segments`` is none of these, or a label picture of another size without preprocessing.
        OSError: if there is no such file.
    """
    if picture is not None and isinstance(segments, str) and segments.startswith(SLIC):
        return _superpixels(segments, picture)
    if picture is not None and isinstance(segments, (str, Path, Image.Image)):
        return _read_labels(segments, preprocessing, (size[0], size[1]))
    return validate.as_array("segments", segments)


def _superpixels(text: str, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    from skimage.segmentation import slic  # takes half a second to import

    count = text.removeprefix(SLIC)
    most = picture.shape[0] * picture.shape[1]
    if not count.isdecimal() or len(count) > len(str(most)) or not 1 <= int(count) <= most:
        raise OcclusionError(
            f"segments {text[:100]!r}: expected slic:N, N superpixels, at least 1 and at most {most}, the pixels"
        )
    labels = np.asarray(slic(picture, n_segments=int(count), start_label=0, channel_axis=-1), np.int64)
    if labels.max() == 0:
        raise OcclusionError(
            f"segments {text!r}: the picture has too little structure, one superpixel is left of it; "
            "give another number, or labels of your own"
        )
    return labels


def _read_labels(
    source: str | Path | Image.Image, preprocessing: Preprocessing | None, size: tuple[int, int]
) -> npt.NDArray[np.int64]:
    name = "segments" if isinstance(source, Image.Image) else f"segments {source}"
    named = isinstance(source, Image.Image) or validate.is_path(source)
    validate.require("segments", source, named, "the path of a picture of labels")
    try:
        if isinstance(source, Image.Image):
            image = source
            with decoding(name):
                image.load()
        else:
            with open_picture(source, name) as image, decoding(name):
                image.load()
    except ValueError as error:
        raise OcclusionError(f"{error}; expected a picture of labels") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) if error.errno else FileError(f"segments {error}") from error
    if (image.height, image.width) != size:
        if preprocessing is None:
            raise OcclusionError(
                f"{name}: {image.height} x {image.width} pixels (H x W); the model's image has {size[0]} x {size[1]}"
            )
        image = resized(image, preprocessing, size, "nearest")
    labels = np.asarray(image)
    if labels.ndim == 3:  # one colour a label
        weights = 256 ** np.arange(labels.shape[2], dtype=np.int64)
        return np.asarray((labels.astype(np.int64) * weights).sum(axis=2))
    if labels.dtype.kind not in "iub":
        raise OcclusionError(f"{name}: pixels of mode {image.mode}; expected labels, which are whole numbers")
    return labels.astype(np.int64)
