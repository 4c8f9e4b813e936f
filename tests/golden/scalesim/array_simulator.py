"""A systolic array stepped cycle by cycle: real values, operands that move one element a cycle.

Nothing here knows a formula. Each function returns the product that the array computed and the cycles
that passed. Arrays are (rows, cols); tokens carry the step they belong to, -1 when there is none.
"""

from __future__ import annotations

import numpy as np

EMPTY = -1


def padded(tile, rows, cols):
    """``tile`` in the upper left corner of a ``(rows, cols)`` array of zeros."""
    full = np.zeros((rows, cols), dtype=tile.dtype)
    full[: tile.shape[0], : tile.shape[1]] = tile
    return full


def weight_stationary(a, b, rows, cols):
    """``a @ b`` with b stationary, k on the rows, n on the columns; each fold empties the whole array."""
    (size_m, size_k), size_n = a.shape, b.shape[1]
    z = np.zeros((size_m, cols * -(-size_n // cols)), dtype=np.int64)
    cycles = 0
    for k0 in range(0, size_k, rows):
        for n0 in range(0, size_n, cols):
            tile = padded(b[k0 : k0 + rows, n0 : n0 + cols], rows, cols)
            weights = np.zeros_like(tile)
            for step in range(rows):  # the word of the last row enters first
                weights[1:] = weights[:-1].copy()
                weights[0] = tile[rows - 1 - step]
                cycles += 1
            assert (weights == tile).all()
            operands = padded(a[:, k0 : k0 + rows], size_m, rows)
            cycles += _stream(operands, weights, z[:, n0 : n0 + cols])
    return z[:, :size_n], cycles


def _stream(operands, weights, sums):
    """Operands (steps, rows) enter from the left, sums leave at the bottom; cycles until it is empty."""
    steps, (rows, cols) = len(operands), weights.shape
    value, step_of = np.zeros((rows, cols), dtype=np.int64), np.full((rows, cols), EMPTY)
    partial, partial_of = np.zeros((rows, cols), dtype=np.int64), np.full((rows, cols), EMPTY)
    left, cycles = 0, 0
    while left < steps * cols:
        value[:, 1:], step_of[:, 1:] = value[:, :-1].copy(), step_of[:, :-1].copy()
        partial[1:], partial_of[1:] = partial[:-1].copy(), partial_of[:-1].copy()
        for row in range(rows):
            step = cycles - row
            inside = 0 <= step < steps
            value[row, 0], step_of[row, 0] = (operands[step, row], step) if inside else (0, EMPTY)
        partial[0], partial_of[0] = 0, step_of[0]
        assert (partial_of == step_of).all(), "a partial sum met the operand of another step"
        partial = partial + np.where(step_of != EMPTY, value * weights, 0)
        for col in range(cols):
            step = partial_of[rows - 1, col]
            if step != EMPTY:
                sums[step, col] += partial[rows - 1, col]
                left += 1
        cycles += 1
    return cycles


def input_stationary(a, b, rows, cols):
    """``a @ b`` with a stationary, k on the rows, m on the columns: the transposed problem."""
    transposed, cycles = weight_stationary(b.T, a.T, rows, cols)
    return transposed.T, cycles


def output_stationary(a, b, rows, cols):
    """``a @ b`` with the sums stationary, m on the rows, n on the columns; each fold empties the whole
    array."""
    (size_m, size_k), size_n = a.shape, b.shape[1]
    z = np.zeros((size_m, size_n), dtype=np.int64)
    cycles = 0
    for m0 in range(0, size_m, rows):
        for n0 in range(0, size_n, cols):
            down, right = padded(b[:, n0 : n0 + cols], size_k, cols), padded(a[m0 : m0 + rows], rows, size_k)
            sums = np.zeros((rows, cols), dtype=np.int64)
            from_left, from_top = (
                np.zeros((rows, cols), dtype=np.int64),
                np.zeros((rows, cols), dtype=np.int64),
            )
            left_of, top_of = np.full((rows, cols), EMPTY), np.full((rows, cols), EMPTY)
            done, clock = 0, 0
            while done < rows * cols * size_k:
                from_left[:, 1:], left_of[:, 1:] = from_left[:, :-1].copy(), left_of[:, :-1].copy()
                from_top[1:], top_of[1:] = from_top[:-1].copy(), top_of[:-1].copy()
                for row in range(rows):
                    step = clock - row
                    inside = 0 <= step < size_k
                    from_left[row, 0], left_of[row, 0] = (right[row, step], step) if inside else (0, EMPTY)
                for col in range(cols):
                    step = clock - col
                    inside = 0 <= step < size_k
                    from_top[0, col], top_of[0, col] = (down[step, col], step) if inside else (0, EMPTY)
                assert (left_of == top_of).all(), "operands of different steps met"
                busy = left_of != EMPTY
                sums += np.where(busy, from_left * from_top, 0)
                done += int(busy.sum())
                clock += 1
            z[m0 : m0 + rows, n0 : n0 + cols] = sums[: size_m - m0, : size_n - n0]
            cycles += clock
    return z, cycles


def overlapped_weight_stationary(a, b, rows, cols):
    """``a @ b`` with b stationary and a second register in each element, loaded while the first one is used.

    A column is loaded from its top, one word a cycle; the load of the next fold enters an element only
    after the element has taken its word over. The next stream begins as soon as the row entry is free and
    the first column has its words.
    """
    (size_m, size_k), size_n = a.shape, b.shape[1]
    rows, cols = min(rows, size_k), min(cols, size_n)  # the part of the array that the Einsum uses
    corners = [(k0, n0) for k0 in range(0, size_k, rows) for n0 in range(0, size_n, cols)]
    z = np.zeros((size_m, cols * -(-size_n // cols)), dtype=np.int64)
    active, active_of = np.zeros((rows, cols), dtype=np.int64), np.full((rows, cols), EMPTY)
    shadow = np.zeros((rows, cols), dtype=np.int64)
    taken = np.full((rows, cols), EMPTY)  # the last fold whose word an element took over
    started: list[int] = []  # cycle in which the stream of a fold entered the array
    loading = [0]  # cycle in which the load of a fold began
    left, clock = 0, 0
    partial = np.zeros((rows, cols), dtype=np.int64)
    while left < len(corners) * size_m * cols:
        fold = len(started)
        loaded = fold < len(corners) and len(loading) > fold and clock >= loading[fold] + rows
        if loaded and (not started or clock >= started[-1] + size_m):
            started.append(clock)
            loading.append(clock)
        partial[1:] = partial[:-1].copy()
        partial[0] = 0
        for row in range(rows):
            for col in range(cols):
                begun = [f for f, start in enumerate(started) if clock >= start + row + col]
                if not begun:
                    continue
                fold = begun[-1]
                step = clock - started[fold] - row - col
                if step == 0:  # the wave brings the word of this fold into use
                    active[row, col], active_of[row, col], taken[row, col] = shadow[row, col], fold, fold
                if step >= size_m:
                    continue
                assert active_of[row, col] == fold
                k0, n0 = corners[fold]
                operand = a[step, k0 + row] if k0 + row < size_k else 0
                partial[row, col] += operand * active[row, col]
                if row == rows - 1:
                    z[step, n0 + col] += partial[row, col]
                    left += 1
        for fold, (k0, n0) in enumerate(corners[: len(loading)]):
            words = padded(b[k0 : k0 + rows, n0 : n0 + cols], rows, cols)
            _load(shadow, taken, clock - loading[fold], fold, words)
        clock += 1
    return z[:, :size_n], clock


def _load(shadow, taken, elapsed, fold, tile):
    """One cycle of loading: in each column, the words of ``fold`` step down behind the wave of the fold
    before."""
    rows, cols = tile.shape
    for col in range(cols):
        entered = elapsed - col  # words that have entered this column before
        if not 0 <= entered < rows:
            continue
        for row in range(entered, -1, -1):
            if row == entered:
                assert taken[row, col] == fold - 1, "a word was overwritten before its element took it over"
            shadow[row, col] = tile[rows - 1 - entered, col] if row == 0 else shadow[row - 1, col]


def overlapped_input_stationary(a, b, rows, cols):
    """``a @ b`` with a stationary and two registers in each element: the transposed problem."""
    transposed, cycles = overlapped_weight_stationary(b.T, a.T, rows, cols)
    return transposed.T, cycles


def overlapped_output_stationary(a, b, rows, cols):
    """``a @ b`` with the sums stationary; folds follow each other, a column hands out one finished sum a
    cycle."""
    (size_m, size_k), size_n = a.shape, b.shape[1]
    rows, cols = min(rows, size_m), min(cols, size_n)
    corners = [(m0, n0) for m0 in range(0, size_m, rows) for n0 in range(0, size_n, cols)]
    starts = [0]
    for _ in corners[1:]:  # the exit of a column is free again `rows` cycles after its first sum
        starts.append(starts[-1] + max(size_k, rows))
    z = np.full((size_m, size_n), np.iinfo(np.int64).min)
    sums = np.zeros((rows, cols), dtype=np.int64)
    left, clock = 0, 0
    while left < len(corners) * rows * cols:
        leaving = np.zeros(cols, dtype=int)
        for row in range(rows):
            for col in range(cols):
                for fold, start in enumerate(starts):
                    step = clock - start - row - col
                    if not 0 <= step < size_k:
                        continue
                    m, n = corners[fold][0] + row, corners[fold][1] + col
                    product = a[m, step] * b[step, n] if m < size_m and n < size_n else 0
                    sums[row, col] = product + (sums[row, col] if step else 0)
                    if step == size_k - 1:
                        leaving[col] += 1
                        left += 1
                        if m < size_m and n < size_n:
                            z[m, n] = sums[row, col]
        assert (leaving <= 1).all(), "two sums left one column in the same cycle"
        clock += 1
    return z, clock
