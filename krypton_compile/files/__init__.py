"""Model and result files: reading and writing them, and what wrong files look like."""
