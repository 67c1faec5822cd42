"""Benchmarks of layers and of the microkernels behind them."""
