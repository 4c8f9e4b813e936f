"""The fused search against trees of its space: ``python -m tests.brute.fuzz_fused [--seed 0] [--count 100]``."""

from __future__ import annotations

import argparse

from tests.brute.fused_cases import outcome


def main() -> None:
    """Print cases, trees and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--most", type=int, default=1500)
    options = parser.parse_args()
    cases = trees = whole = fused = wrong = 0
    for seed in range(options.seed, options.seed + options.count):
        objective = "energy" if seed % 2 else "latency"
        found = outcome(seed, objective, registers=seed % 3 > 0, most=options.most)
        if found is None:
            continue
        cases, trees, whole, fused = (
            cases + 1,
            trees + found.trees,
            whole + found.whole,
            fused + (found.result is not None),
        )
        if found.wrong:
            wrong += 1
            print(seed, objective, found.wrong, flush=True)
    print(f"{cases} cases, {trees} trees, {whole} of them all there are, {fused} fused by the search, {wrong} wrong")


if __name__ == "__main__":
    main()
