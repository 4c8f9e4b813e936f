"""A fused mapping run step by step by the reference: the values are the cascade's, the words those that are counted."""

from __future__ import annotations

import numpy as np

import einloom as el
from einloom.mappings import parse_plan
from einloom.model.reference.fused import execute_tree


def check_step_by_step(design: el.Design, found: el.Evaluation, seed: int = 7) -> None:
    """Runs a mapping whose cascade is one tree on random inputs."""
    cascade = design.workload.cascades[0]
    generator = np.random.default_rng(seed)
    inputs = {name: generator.normal(size=cascade.shape(name)) for name in cascade.inputs}
    ran = execute_tree(cascade, design.architecture, parse_plan(found.mapping).tree, inputs)
    expected = cascade.run(inputs)
    for tensor in cascade.outputs:
        np.testing.assert_allclose(ran.outputs[tensor], expected[tensor], rtol=1e-9, err_msg=tensor)
    for (memory, tensor), counts in ran.counts.items():
        mine = [e.memories[memory].tensors[tensor] for e in found.einsums.values()
                if memory in e.memories and tensor in e.memories[memory].tensors]  # fmt: skip
        for what in ("reads", "writes", "drains"):
            assert sum(getattr(c, what) for c in mine) == getattr(counts, what), (memory, tensor, what)
