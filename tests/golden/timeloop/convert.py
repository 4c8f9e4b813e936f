"""Write every case of ``timeloop_cases.json`` in einloom's notation: a design and the expected counts.

Source of the cases: NVlabs Timeloop, commit 4cf6d4c, timeloop-model run on these inputs; `about` in the JSON
has its conventions. Run ``python convert.py`` in this folder after a change; a test holds the files to it.

What the translation does:

- A Timeloop level is a hold of its ``keep`` list, then its temporal loops, then its spatial loops on the
  fanout below.
- ``no_multicast`` names inputs that a fanout may not multicast and outputs that it may not reduce.
- An imperfect loop ``[dim, bound, last_bound]`` keeps its bound: the extent of the rank clips it to the same
  nest.
- Timeloop prices a write as a fill or as an update, einloom has one write energy: reads and fills are taken.
- Timeloop does not charge drains: its reads are our reads minus drains.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLIPPED_STEPS = {"gemm2_imp_M10": 640, "gemm2_imp_MNK": 770}
"""Imperfect factors in time: every step has its point, where Timeloop multiplies ceilings (768 and 1152)."""

Case = dict[str, Any]


def cases() -> list[Case]:
    found: list[Case] = json.loads((HERE / "timeloop_cases.json").read_text())["cases"]
    return found


def yaml_text(case: Case) -> str:
    """The design file of one case."""
    lines = [
        f"# Timeloop case {case['id']} ({', '.join(case['tags'])}), written by convert.py",
        "version: 1",
        *_workload(case),
        *_architecture(case),
        *_mapping(case),
    ]
    return "\n".join(lines) + "\n"


def expected(case: Case) -> dict[str, Any]:
    """What Timeloop says, in our words: elements over all instances by memory and tensor."""
    says = case["expected"]
    return {
        "source": f"NVlabs Timeloop, commit 4cf6d4c, case {case['id']}",
        "steps": CLIPPED_STEPS.get(case["id"], says["compute_cycles"]),
        "operations": case["true_macs"],
        "instances_used": says["compute_instances_used"],
        "cycles_with_ceilings": says["cycles"],
        "memories": {
            level: {
                tensor: {
                    "fills": counts["fills_total"],
                    "updates": counts["updates_total"],
                    "reads_minus_drains": counts["reads_total"],
                    "occupancy": counts["utilized_capacity"],
                }
                for tensor, counts in found["tensors"].items()
            }
            for level, found in says["levels"].items()
        },
    }


def expected_text(case: Case) -> str:
    """`expected` as JSON, one tensor a line."""
    text = json.dumps(expected(case), indent=2)
    return re.sub(r"\{[^{}]*\}", lambda counts: " ".join(counts[0].split()), text) + "\n"


def _workload(case: Case) -> list[str]:
    ranks = ", ".join(f"{rank}: {size}" for rank, size in case["problem"]["dims"].items())
    return [
        "workload:",
        f"  name: {case['problem']['name']}",
        f"  ranks: {{{ranks}}}",
        "  bits: {default: 16}",
        "  cascade:",
        f'    - "{_line(case)}"',
    ]


def _line(case: Case) -> str:
    tensors = case["problem"]["tensors"]
    output = _output(case)
    kept = {dim for rank in tensors[output]["ranks"] for dim, _ in rank}
    reduced = ",".join(dim.lower() for dim in case["problem"]["dims"] if dim not in kept)
    product = " * ".join(_access(case, name) for name in tensors if name != output)
    return f"{_access(case, output)} = sum{{{reduced}}}({product})"


def _access(case: Case, name: str) -> str:
    ranks = case["problem"]["tensors"][name]["ranks"]
    indices = ["+".join(dim.lower() if c == 1 else f"{c}*{dim.lower()}" for dim, c in rank) for rank in ranks]
    return f"{name}[{','.join(indices)}]"


def _output(case: Case) -> str:
    (output,) = (name for name, tensor in case["problem"]["tensors"].items() if tensor["role"] == "output")
    return str(output)


def _architecture(case: Case) -> list[str]:
    lines = ["architecture:", f"  name: {case['id']}", "  clock: 1 GHz", "  levels:"]
    for level, mapped in zip(case["arch"]["levels"], case["mapping"], strict=True):
        lines += [*_memory(level), *_fanout(case, level, mapped)]
    compute = case["arch"]["compute"]
    return [*lines, f"    - compute: {compute['name']}", f"      energy: {{mac: {compute['energy_pj']} pJ}}"]


def _memory(level: dict[str, Any]) -> list[str]:
    lines = [f"    - memory: {level['name']}", f"      word: {level['word_bits']} b"]
    for key, value in (
        ("capacity", level["capacity_words"]),
        ("read_bandwidth", level["read_bw_words_per_cycle"]),
        ("write_bandwidth", level["write_bw_words_per_cycle"]),
    ):
        if value is not None:
            lines.append(f"      {key}: {value} words" + ("" if key == "capacity" else "/cycle"))
    return [
        *lines,
        f"      read_energy: {level['read_energy_pj']} pJ",
        f"      write_energy: {level['fill_energy_pj']} pJ",
    ]


def _fanout(case: Case, level: dict[str, Any], mapped: dict[str, Any]) -> list[str]:
    axes = level["fanout_to_next_inner"]
    if axes["x"] * axes["y"] == 1:
        return []
    sizes = ", ".join(f"{axis.upper()}: {size}" for axis, size in axes.items() if size > 1)
    lines = [f"    - fanout: {_below(level['name'])}", f"      axes: {{{sizes}}}"]
    off = mapped.get("no_multicast", [])
    if off:
        on = [name for name in case["problem"]["tensors"] if name not in off]
        lines.append(f"      multicast: [{', '.join(on)}]")
        lines.append(f"      reduce: {str(_output(case) not in off).lower()}")
    return lines


def _below(level: str) -> str:
    return f"{level}_net"


def _mapping(case: Case) -> list[str]:
    lines = ["mapping:", f"  {_output(case)}:"]
    for mapped in case["mapping"]:
        lines.append(f"    - {mapped['level']} holds {', '.join(mapped['keep'])}")
        lines += [f"    - for {dim.lower()} in {bound}" for dim, bound, *_ in mapped["temporal"]]
        lines += [
            f"    - spatial {_below(mapped['level'])}.{axis.upper()} {dim.lower()} in {bound}"
            for axis in "xy"
            for dim, bound, *_ in mapped[f"spatial_{axis}"]
        ]
    return [*lines, f"    - {case['arch']['compute']['name']}"]


if __name__ == "__main__":
    for each in cases():
        (HERE / f"{each['id']}.yaml").write_text(yaml_text(each))
        (HERE / f"{each['id']}.expected.json").write_text(expected_text(each))
