"""Inputs: what a user gives, as a model's arrays: images, occluders, windows, segments, targets."""
