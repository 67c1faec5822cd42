"""What tests share: graphs, networks, bounds and the harness of single ops. Holds no tests."""
