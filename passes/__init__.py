"""The passes, in the order in which :mod:`krypton_compile.pipeline` applies them.

1. ``canonicalize``: static shapes, constants folded, BatchNormalization and Pad folded into Conv;
2. ``lower``: each node by its rule (``lower_*.py``) into incremental ops, or dense with a reason;
3. ``fuse_activation``: the Relu or Clip after a Conv into its epilogue;
4. ``propagate_boxes``: box growth and multiply-adds for a reference patch, written into the nodes;
5. ``batch_positions``: the Scan over chunks of positions, and the contract's inputs and outputs;
6. ``verify``: a few positions against the original model.
"""
