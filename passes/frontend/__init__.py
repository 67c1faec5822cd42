"""Frontend: from any ONNX model to one of a single float32 image, its nodes and shapes checked.

`FRONTEND` lists its passes in order; each changes a `SourceModel` and returns how much (runner.py).
"""

from __future__ import annotations

from krypton_compile.passes.frontend import properties as has
from krypton_compile.passes.frontend.accept_spellings import accept_spellings
from krypton_compile.passes.frontend.axes.find_axes import find_axes
from krypton_compile.passes.frontend.cap_opset import cap_opset
from krypton_compile.passes.frontend.check_model import check_model
from krypton_compile.passes.frontend.choose_output import choose_output
from krypton_compile.passes.frontend.drop_inputs import drop_inputs
from krypton_compile.passes.frontend.fix_image import fix_image
from krypton_compile.passes.frontend.hold_inputs import hold_inputs
from krypton_compile.passes.frontend.narrow_double import narrow_double
from krypton_compile.passes.frontend.replace_retired import replace_retired
from krypton_compile.passes.frontend.source_model import SourceModel
from krypton_compile.passes.frontend.unbatch import unbatch
from krypton_compile.passes.frontend.unpack_sparse import unpack_sparse
from krypton_compile.passes.frontend.widen_half import widen_half
from krypton_compile.passes.frontend.widen_image import widen_image
from krypton_compile.passes.runner import Pass

__all__ = ["FRONTEND", "FrontendPass", "SourceModel"]

FrontendPass = Pass[SourceModel]

FRONTEND: tuple[FrontendPass, ...] = (
    FrontendPass("accept_spellings", accept_spellings, ensures=(has.USUAL_SPELLING,)),
    FrontendPass("replace_retired", replace_retired, requires=(has.USUAL_SPELLING,), ensures=(has.NONE_RETIRED,)),
    FrontendPass("choose_output", choose_output, requires=(has.USUAL_SPELLING,), ensures=(has.TENSORS_AS_OUTPUTS,)),
    FrontendPass("unpack_sparse", unpack_sparse, ensures=(has.DENSE_TENSORS,)),
    FrontendPass(
        "check_model",
        check_model,
        requires=(has.USUAL_SPELLING, has.NONE_RETIRED, has.TENSORS_AS_OUTPUTS, has.DENSE_TENSORS),
        ensures=(has.VALID,),
    ),
    FrontendPass("drop_inputs", drop_inputs, requires=(has.VALID,), ensures=(has.INPUTS_IN_USE,)),
    FrontendPass("hold_inputs", hold_inputs, requires=(has.VALID,), ensures=(has.NO_HELD_INPUT,), idempotent=False),
    FrontendPass("widen_half", widen_half, requires=(has.VALID,), ensures=(has.NO_HALVES,)),
    FrontendPass("narrow_double", narrow_double, requires=(has.VALID,), ensures=(has.NO_DOUBLE_IMAGE,)),
    FrontendPass("cap_opset", cap_opset, requires=(has.VALID,), ensures=(has.CAPPED,)),
    FrontendPass("widen_image", widen_image, requires=(has.VALID,), ensures=(has.FLOAT_IMAGE,)),
    FrontendPass("find_axes", find_axes, requires=(has.VALID, has.NO_HELD_INPUT)),
    FrontendPass("unbatch", unbatch, requires=(has.VALID, has.NO_HALVES, has.FLOAT_IMAGE), ensures=(has.ONE_IMAGE,)),
    FrontendPass("fix_image", fix_image, requires=(has.ONE_IMAGE,), ensures=(has.IMAGE_FIXED,)),
)
