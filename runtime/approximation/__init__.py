"""Approximation: what may be left out, which windows are scored, and what the others are taken to be."""
