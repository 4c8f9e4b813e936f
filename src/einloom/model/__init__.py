"""What a mapping costs: counts, occupancy, cycles, energy.

Candidates are rows of loop bounds; every quantity is an array of shape ``(candidates,)``; one mapping is an array of
length 1. ``evaluate`` prices one mapping and explains it; ``price`` prices many at once.
"""
