"""Architectures in plain torch that no library has as classifiers, and small relatives of well-known families.

The zoo of benchmarks/ compiles and measures the large ones; the tests compile the small ones.
"""
