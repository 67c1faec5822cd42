"""Real pretrained classifiers, torch networks and pictures for tests, benchmarks and the demo."""
