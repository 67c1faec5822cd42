"""The passes of the compiler: from an ONNX file to an incremental model, in four stages.

    frontend    FRONTEND    a file as it was read  ->  a valid model of one float32 image; read_graph: its graph
    simplify    SIMPLIFY    what exporters write   ->  ops that have rules, all shapes static
    lower       lower()     each node              ->  incremental ops by its rule, or dense with a reason
    body        BODY        lower and what follows ->  thresholds, the growth of boxes, fusion, the Scan over positions

`FRONTEND`, `SIMPLIFY` and `BODY` are tuples: the packages of these names list their passes in order, each with what
it requires and ensures, and :func:`krypton_compile.passes.runner.run` runs them;
:mod:`krypton_compile.compiler.pipeline` reads from top to bottom. A stage imports none that stands behind it. What
stages share lies beside them: the values of a model that a caller sees (interface.py), shapes (shapes.py),
quantized ops (quantized.py) and windows (window_of.py). verify.py compares the result with the original model.

`krypton-compile --trace DIR` writes the model after each pass.
"""
