"""What all parts agree on: ops, boxes, axis orders, metadata, and how pictures become a model's input."""
