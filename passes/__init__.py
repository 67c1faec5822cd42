"""The passes, in the order in which :mod:`krypton_compile.compiler.pipeline` applies them.

0. ``drop_outputs``, ``unpack_sparse``, then ``check_model``: a valid ONNX model, its nodes in order;
   ``hold_inputs``, ``widen_half``, ``narrow_double``, ``cap_opset``, ``unbatch``, ``widen_image``: of one image, all
   float32, inputs beside it constants, of opset 20 at most;
1. ``refuse_nodes``: what has no exact answer;
2. ``canonicalize``: opset 13 or newer, static shapes, constants folded; in it ``dequantize_weights``,
   ``fold_constants`` and ``respell``;
3. ``measure_shapes``: shapes that onnx does not know, by running the model once;
4. ``absorb_pads``, ``fold_affine``: Pads into windows, BatchNormalization and constants into Conv;
5. ``decompose``, ``gather_shuffles``, ``name_blocks``: what is spelt out or put together, in ops that have rules;
6. ``commute_mean``: a mean over the map before a 1x1 Conv rather than behind it;
7. ``lower``: each node by its rule (``lower_*.py``) into incremental ops, or dense with a reason;
   ``lower_rest`` where no form fits;
8. ``add_thresholds``: tau and eps reach the ops that they concern;
9. ``propagate_boxes``: box growth and multiply-adds for a reference patch, written into the nodes;
   ``fuse_epilogue``: the Add and the Relu or Clip after a Conv into it;
10. ``batch_positions``: the Scan over chunks of positions, and the contract's inputs and outputs;
11. ``verify``: a few positions against the original model.
"""
