"""Tests of the passes that simplify a graph."""
