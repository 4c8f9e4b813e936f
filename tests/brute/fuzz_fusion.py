"""The mapper of cascades against brute force on random cases: prints cases, trees and what is wrong.

$ python tests/brute/fuzz_fusion.py --seed 0 --count 50
$ python tests/brute/fuzz_fusion.py --seed 17 --count 1 --verbose      one case again
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from brute.fusion_cases import CASCADES, OBJECTIVES, Verdict, drawn, judged


def main() -> int:
    """Cases that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=50, help="seeds")
    parser.add_argument("--kind", choices=CASCADES, help="of cascades; all")
    parser.add_argument(
        "--most", type=int, default=1200, help="parts of trees to evaluate; cases with more are skipped"
    )
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    told: Counter[str] = Counter()
    for seed in range(args.seed, args.seed + args.count):
        case = drawn(seed, args.kind)
        begin = time.process_time()
        try:
            verdict = judged(case, args.most, objectives=args.objectives.split(","))
        except Exception:  # a crash is a finding like any other
            verdict = Verdict(wrong=[traceback.format_exc(limit=-4)])
        told["taken" if verdict.taken else f"skipped: {verdict.why.split(':')[0]}"] += 1
        told["trees"] += verdict.trees
        told["wrong"] += bool(verdict.wrong)
        told["ties"] += bool(verdict.ties)
        for name in ("gaps", "fused"):
            for objective in getattr(verdict, name):
                told[f"{name} {objective}"] += 1
        if args.verbose:
            print(f"{case}\n  {verdict}  {time.process_time() - begin:.1f} s", flush=True)
        elif verdict.wrong or verdict.ties:
            print(
                f"{'WRONG' if verdict.wrong else 'tie'} {case}", *verdict.wrong, *verdict.ties, sep="\n  ", flush=True
            )
    print(
        f"seeds {args.seed} to {args.seed + args.count - 1}:",
        *(f"{k} {v}" for k, v in sorted(told.items())),
        sep="\n  ",
    )
    return int(told["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
