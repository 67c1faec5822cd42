"""Tests of what comes before the graph is simplified."""
