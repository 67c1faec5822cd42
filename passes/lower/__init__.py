"""Lower: from a canonical graph to its incremental body, node by node."""
