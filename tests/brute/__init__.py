"""The brute force that the mapper is held to: every nest of a small case, executed step by step.

It knows nothing of ``einloom.model`` and ``einloom.mapper``: a `case.Case` is plain numbers. `force` enumerates and
executes (compiled); `slowly` does the same for one nest at a time, with sets, to be read; `bridge` says a case in
einloom's words; `draw` draws cases; ``python tests/brute/fuzz.py`` compares a mapper with it.
"""
