"""Simplify: from what exporters write to ops that have rules."""
