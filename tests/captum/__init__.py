"""Tests of the stand-in for Captum."""
