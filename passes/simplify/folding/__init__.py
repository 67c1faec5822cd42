"""Passes that fold constants, pads, scales and choices of channels into what is beside them."""
