"""Views: tensors that hold the entries of a map in other axes, and what ops on them mean on the map itself.

`view` has the algebra of axes, `build` writes nodes and aligns maps, and one file a family of ops says what an op on
a view is on the map: `moves`, `choices`, `joins`, `elementwise`, `windows`, `products`, `reductions`.
`passes/simplify/straighten_views.py` is the pass.
"""
