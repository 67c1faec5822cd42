"""The delta rules, a family of ops a file: one function ``lower(node, context) -> Form`` each.

What a rule may call stands in :class:`krypton_compile.passes.lower.refused.Refused`; which op has
which rules, in :mod:`krypton_compile.passes.lower.table`.
"""
