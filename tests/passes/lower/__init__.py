"""Tests of lowering and its rules."""
