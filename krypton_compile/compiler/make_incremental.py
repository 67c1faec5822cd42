"""From a simplified graph to a compiled model that gives the original's scores.

A first body is as fast as can be. Where it does not hold against the original, which happens where a window hides all
that a network without biases sees, and a norm divides by what is left, a second body is made: in it, everything before
the last such norm is computed on T' itself (design.md section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
import onnx_ir as ir

from krypton_compile.compiler.annotate import annotate
from krypton_compile.compiler.fallbacks import find_fallbacks
from krypton_compile.compiler.layers import report_layers
from krypton_compile.compiler.reference_patch import ReferencePatch
from krypton_compile.compiler.report import Report
from krypton_compile.compiler.trace import Watch
from krypton_compile.passes.body import BODY, COUNTING, IncrementalBody, begin_body
from krypton_compile.passes.frontend import SourceModel
from krypton_compile.passes.interface import find_interface
from krypton_compile.passes.runner import run
from krypton_compile.passes.simplify import CLEAN_UP
from krypton_compile.passes.verify import Comparison, compare_models
from krypton_compile.stages import REPORT, stage

ON_VALUES = (
    "where a window hides the picture, this network's features vanish, and a norm divides by them (untrained networks "
    "do so): all layers before the last norm are computed anew inside of each window, which is exact and slower"
)
"""The note of a report whose model needed the second body."""


@dataclass
class Making:
    """How a body is made.

    Attributes:
        source: the model as its user has it.
        patch: the reference patch.
        report: what is told of the compilation; its layers and its verification are set.
        about: the metadata of the compiled file.
        watch: the observers of a trace.
        chunk: positions an iteration of the Scan, None for as many as fit.
        target: the execution provider.
        frozen_gates: whether gates keep the image's own numbers, which is approximate.
    """

    source: SourceModel
    patch: ReferencePatch
    report: Report
    about: Mapping[str, str]
    watch: Watch
    chunk: int | None
    target: str
    frozen_gates: bool

    def make(self, base: ir.Model, *, verify: bool, explain_fallbacks: bool) -> onnx.ModelProto:
        """Make the compiled model of a simplified one, which is changed.

        Raises:
            ModelError: if the scores do not depend on the image.
            VerificationError: if the compiled model differs from the original.
        """
        with stage("make the graph incremental", REPORT):
            if explain_fallbacks:
                self.report.fallbacks = find_fallbacks(lambda supposed: self._count(base, supposed))
            kept = base.clone() if verify else None
            body, compiled = self._make(base)
        if kept is None:
            return compiled
        comparison = self._compare(compiled, body)
        if body.context.frozen:
            self.report.verification = comparison.describe(len(body.context.frozen))
            return compiled
        if not comparison.holds and body.context.conditioning.rows:
            with stage("make the graph incremental", REPORT):
                body, compiled = self._make(kept, on_values=True)
            comparison = self._compare(compiled, body)
            self.report.notes.append(ON_VALUES)
        comparison.require()
        self.report.verification = comparison.describe()
        return compiled

    def _make(self, base: ir.Model, *, on_values: bool = False) -> tuple[IncrementalBody, onnx.ModelProto]:
        body = self._begin(base, on_values=on_values)
        body.chunk = self.chunk
        run(BODY, body, self.watch.body)
        self.report.layers = report_layers(body)
        run(CLEAN_UP, base, self.watch.clean_up)
        annotate(body, self.about)
        return body, ir.to_proto(base)

    def _count(self, base: ir.Model, supposed: frozenset[str]) -> Report:
        """Lower a copy for counting alone, its nodes of these names ``supposed`` to keep changes where they are."""
        body = self._begin(base.clone(), supposed=supposed)
        run(COUNTING, body)
        return replace(self.report, layers=report_layers(body))

    def _compare(self, compiled: onnx.ModelProto, body: IncrementalBody) -> Comparison:
        integers = bool(self.source.pictures or self.source.integers)
        with stage("verify the compiled model", REPORT):
            return compare_models(self.source.proto, compiled, body.named_interface, self.patch.grid, integers=integers)

    def _begin(
        self, base: ir.Model, *, on_values: bool = False, supposed: frozenset[str] = frozenset()
    ) -> IncrementalBody:
        source = self.source
        return begin_body(
            base,
            find_interface(base.graph, source.input_name, source.output_name, source.layout),
            self.patch.grid,
            target=self.target,
            frozen_gates=self.frozen_gates,
            supposed=supposed,
            on_values=on_values,
        )
