"""What benchmarks share: the naive way, paired runs, the machine, and the work that zeros leave."""
