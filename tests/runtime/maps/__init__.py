"""Tests of explanations and heat maps."""
