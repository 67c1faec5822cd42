"""Tests of what reads a user's inputs."""
