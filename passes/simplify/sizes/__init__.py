"""Passes that find, fix or agree on the sizes of tensors."""
