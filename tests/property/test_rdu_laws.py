"""Laws of `rdu`: fused is never slower than kernel by kernel, and more of anything is never slower."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

import einloom
from einloom.arch.templates.rdu.fusion import Moved, Part, kernel_of, kernels, last_uses

CHAIN = [
    "Y[m,n] = sum{k}(A[m,k] * B[k,n])",
    "R[m,n] = relu(Y[m,n])",
    "D[m] = sum{n}(R[m,n])",
    "S[m,n] = R[m,n] / D[m]",
    "Z[m,p] = sum{n}(S[m,n] * C[n,p])",
]


@dataclass(frozen=True)
class Machine:
    m: int
    k: int
    n: int
    p: int
    pcus: int
    pmus: int
    sockets: int
    hbm_gb_s: int
    launch_ns: int
    link_gb_s: int


MACHINES = st.builds(
    Machine, m=st.integers(1, 64), k=st.integers(1, 64), n=st.integers(1, 64), p=st.integers(1, 64),
    pcus=st.integers(1, 8), pmus=st.integers(1, 6), sockets=st.integers(1, 5), hbm_gb_s=st.integers(1, 50),
    launch_ns=st.integers(0, 50), link_gb_s=st.integers(1, 100),
)  # fmt: skip


def seconds(machine, execution, objective="latency"):
    design = {
        "name": "d",
        "workload": {
            "name": "w", "ranks": {"M": machine.m, "K": machine.k, "N": machine.n, "P": machine.p},
            "bits": {"default": 16}, "weights": ["B", "C"], "cascade": CHAIN,
        },
        "architecture": {
            "template": "rdu", "pcus": machine.pcus, "pcu_gflops": 8, "pmus": machine.pmus, "pmu": "2 KiB",
            "sockets": machine.sockets, "hbm_bandwidth": f"{machine.hbm_gb_s} GB/s",
            "launch": f"{machine.launch_ns} ns", "link_bandwidth": f"{machine.link_gb_s} GB/s",
        },
        "mapping": {"choices": {"execution": execution}},
    }  # fmt: skip
    return einloom.load(design).map(objective).latency_s


@settings(max_examples=25, deadline=None)
@given(MACHINES)
def test_fused_is_never_slower_than_kernel_by_kernel(machine):
    assert seconds(machine, "fused") <= seconds(machine, "kernel_by_kernel") * (1 + 1e-9)


@settings(max_examples=15, deadline=None)
@given(MACHINES, st.integers(2, 3), st.sampled_from(["fused", "kernel_by_kernel"]))
def test_more_of_anything_is_never_slower(machine, times, execution):
    """Fusion that is cut where the SRAM is full may be cut elsewhere on a larger one: there, all but the SRAM."""
    once = seconds(machine, execution) * (1 + 1e-9)
    for name in ("pcus", "hbm_gb_s", "link_gb_s", *(["pmus"] if execution == "kernel_by_kernel" else [])):
        assert seconds(replace(machine, **{name: getattr(machine, name) * times}), execution) <= once


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), min_size=1, max_size=8),
       st.lists(st.integers(1, 100), min_size=14, max_size=14), st.integers(1, 8), st.integers(1, 400))  # fmt: skip
def test_kernels_cut_the_cascade_and_move_no_more_than_alone(edges, sizes, most, sram):
    """Every Einsum is in one kernel, in order; a kernel moves at most what its Einsums move alone, and fits."""

    def moved(tensor, write=False):
        return Moved(f"T{tensor}", float(sizes[tensor]), float(sizes[tensor]), write)

    parts = []
    for place, (one, other, leaves) in enumerate(edges):
        inputs = {min(one, place + 5), min(other, place + 5)}  # of the first six tensors, or made before
        operands = (moved(place + 6, write=True), *(moved(one) for one in sorted(inputs)))
        parts.append(Part(str(place), len(inputs) == 2, 1.0, 1.0, operands, leaves, 0.0))
    cut = kernels(parts, most, float(sram))
    assert [place for kernel in cut for place in range(kernel.first, kernel.last + 1)] == list(range(len(parts)))
    uses = last_uses(parts)
    for kernel in cut:
        alone = [kernel_of(parts, uses, place, place) for place in range(kernel.first, kernel.last + 1)]
        assert kernel.last - kernel.first < most
        assert kernel.held_bits <= sram
        if len(alone) > 1:
            assert kernel.hbm_bits <= sum(one.hbm_bits for one in alone)
