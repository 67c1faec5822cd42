"""The passes, in the order in which :mod:`krypton_compile.pipeline` applies them.

0. ``hold_inputs``, ``widen_half``, ``widen_image``: inputs beside the image are constants, all is float32;
1. ``canonicalize``: static shapes, constants folded, BatchNormalization and Pad folded into Conv;
2. ``gather_shuffles``: a channel shuffle is one Gather;
3. ``commute_mean``: a mean over the map before a 1x1 Conv rather than behind it;
4. ``lower``: each node by its rule (``lower_*.py``) into incremental ops, or dense with a reason;
5. ``fuse_activation``: the Relu or Clip after a Conv into its epilogue;
6. ``propagate_boxes``: box growth and multiply-adds for a reference patch, written into the nodes;
7. ``batch_positions``: the Scan over chunks of positions, and the contract's inputs and outputs;
8. ``verify``: a few positions against the original model.
"""
