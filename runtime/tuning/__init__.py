"""Tuning: the fastest approximation that keeps a bound on sample images."""
