"""Sweep: one request over the windows of one image, by one strategy or another."""
