"""Mutated models, hostile boxes and broken compiled files: a result or a clear error, never a crash or a hang."""
