"""Tests of the sessions behind a compiled file."""
