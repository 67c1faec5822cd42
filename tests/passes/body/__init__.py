"""Tests of the passes over the incremental body."""
