"""The doors to a user's files."""
