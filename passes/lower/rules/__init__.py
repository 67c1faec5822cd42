"""The delta rules, a family of ops a file."""
