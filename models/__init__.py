"""Real pretrained classifiers for tests, benchmarks and the demo: where they come from and how to feed them."""
