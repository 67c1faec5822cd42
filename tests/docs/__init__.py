"""Tests of the documentation's examples."""
