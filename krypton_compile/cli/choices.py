"""The words that options choose from, written out here because ``--help`` does not wait for NumPy to be imported.

tests/cli/test_help.py holds each to the module that gives it its meaning.
"""

from __future__ import annotations

ACTIVATIONS = ("none", "softmax", "sigmoid", "pre")
BASELINE_SPACES = ("picture", "input")
DEVICES = ("cpu", "cuda")
EDGES = ("truncate", "valid", "shift")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
LAYOUTS = (
    *("NCL", "NLC", "NCHW", "NHWC", "NCDHW", "NDHWC", "NDHW", "DHW", "NHW", "HW", "NL", "L"),
    *("CL", "LC", "CHW", "HWC", "CDHW", "DHWC", "flat-NCL", "flat-CL", "flat-NLC", "flat-LC"),
    *("flat-NCHW", "flat-CHW", "flat-NHWC", "flat-HWC", "flat-NCDHW", "flat-CDHW", "flat-NDHWC", "flat-DHWC"),
)
REDUCTIONS = ("mean", "sum", "none")
RESIZE_MODES = ("squeeze", "crop", "none")
UPSAMPLINGS = ("nearest", "bilinear", "bicubic")
VALUES = ("difference", "score")
