"""Tests of requests, and of the ways in which they are answered."""
