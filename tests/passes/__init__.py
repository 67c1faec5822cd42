"""Tests of the compiler on small graphs."""
