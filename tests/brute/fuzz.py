"""Compare a mapper with the brute force on random cases and print what differs.

$ python tests/brute/fuzz.py conv1d --cases 50 --seed 3
$ python tests/brute/fuzz.py gemm --only "gemm 3:17"                one case again, with all it knows
$ python tests/brute/fuzz.py gemm --solver some.module:function     another search: see `compare.Solver`
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from brute import compare, draw
from brute.force import solve


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=[*draw.KINDS, "all"])
    parser.add_argument("--cases", type=int, default=50, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=20_000, help="sequences; cases with more are skipped")
    parser.add_argument("--objectives", default=",".join(compare.OBJECTIVES))
    parser.add_argument("--solver", default="brute.compare:mapper", help="module:function")
    parser.add_argument("--only", help="the name of one case")
    parser.add_argument("--show", type=int, default=5, help="differences to print in full")
    args = parser.parse_args()
    module, function = args.solver.split(":")
    solver = getattr(importlib.import_module(module), function)
    kinds = list(draw.KINDS) if args.kind == "all" else [args.kind]
    if args.only:
        case = compare.named(args.only)
        print(case)
        return run(args, solver, [(args.only, case, solve(case))], verbose=True)
    return sum(run(args, solver, compare.drawn(kind, args.cases, args.seed, args.most)) for kind in kinds)


def run(args: argparse.Namespace, solver: compare.Solver, cases, verbose: bool = False) -> int:
    """Cases that are wrong; a summary is printed."""
    count = wrong = above = failed = skipped = sequences = nests = 0
    mapping, slowest = 0.0, (0.0, "")
    kind = args.kind
    for name, case, answer in cases:
        kind, count, sequences, nests = name.split()[0], count + 1, sequences + answer.sequences, nests + answer.nests
        if verbose:
            print(*answer.front, sep="\n")
        begin = time.process_time()
        try:
            verdict = compare.judged(case, answer, solver, args.objectives.split(","))
        except Exception:  # a crash of the solver is a finding like any other
            failed += 1
            verdict = compare.Verdict((traceback.format_exc(limit=-4),))
        mapping += time.process_time() - begin
        slowest = max(slowest, (time.process_time() - begin, name))
        skipped += verdict.skipped
        wrong += bool(verdict.wrong)
        above += bool(verdict.above) and not verdict.wrong
        if verdict.wrong and (wrong <= args.show or verbose):
            print(f"WRONG {name}\n{case}", *verdict.wrong, sep="\n  ", flush=True)
        elif verdict.above and verbose:
            print(f"above {name}\n{case}", *verdict.above, sep="\n  ", flush=True)
    print(f"{kind}: {count} cases ({skipped} not taken), {sequences} sequences, {nests} nests")
    print(f"  {wrong} wrong ({failed} crashed), {above} above the best clipped nest")
    print(f"  CPU s of the solver {mapping:.1f}, at most {slowest[0]:.1f} ({slowest[1]})", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
