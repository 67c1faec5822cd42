"""Switches of a release, one for each part that it may leave out. Commands, the tuner and the documents follow them."""

from __future__ import annotations

DRILL_DOWN = True
"""The paper's drill-down: coarse windows first, then those of the final stride where they had the largest effect.

Without it there is no option ``--drilldown``, ``Approximation(drill_down=...)`` is refused, and krypton-tune does not
try it. Passages of the documents that speak of it stand between ``<!-- drill-down -->`` and ``<!-- /drill-down -->``;
``scripts/cut_passages.py`` cuts them.
"""
