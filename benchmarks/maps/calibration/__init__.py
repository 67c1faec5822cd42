"""What approximate maps may promise of a model that was never tuned: maps, fits, and checks on other maps."""
