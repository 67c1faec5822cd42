"""Tests; a package, so that folders may share cases."""
