"""Tests of what compiler and runtime agree on."""
