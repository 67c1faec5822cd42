"""Functions of torch tensors: what they depend on, what they read, where their scores are, and their export."""

try:
    import torch as torch
except ImportError as error:
    raise ImportError("models of torch need torch; install it: pip install 'krypton-compile[torch]'") from error
