"""Tests of approximate inference."""
