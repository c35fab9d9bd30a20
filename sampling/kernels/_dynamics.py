"""Kernels of training dynamics: read a batch of logits once, and update the histories of its rows.

Callers: scores/_aum.py, scores/_dynamics.py, scores/_dynamics_tables.py.

Contract, the same for every kernel in this file
    Checked   The others rely on `first_bad` having returned -1. C >= 2. Logits may hold NaN and
              infinities, which `lower` detects; after it all values are finite.
    Sizes     N samples, B presentations in a batch, C classes, J presentations in a window.
    Types     Logits float32 or float64; all arithmetic and sums float64. Counts int32, since no
              sample is presented 2**31 times.
    Order     A sample that a batch contains twice is presented twice, in the order of the batch.
    Memory    The caller allocates everything.
    Threads   Serial.

kernel     reads                           writes                    time    oracle
first_bad  indices, labels (B,), N, C      -                         O(B)    bad_by_sets
lower      logits (B, C), labels (B,)      below, margins            O(B C)  lowered_by_sorting
observe    below, parts (B, C), labels     observed (6, B)           O(B C)  observed_by_softmax
number     rows (B,)                       presentations, numbers    O(B)    numbers_by_counting
add        rows, values (B,)               sums (N,)                 O(B)    sums_by_bincount
average    rows, values (B,), weight ()    averages (N,)             O(B)    averages_by_powers
history    rows, numbers, margins (B,)     events, streaks, reached  O(B)    history_by_text
spread     rows, numbers, probs, margins   means, squares, correct   O(B)    spread_by_lists
slide      rows, numbers, probs (B,)       ring (N, J), stds, duals  O(B J)  windows_by_slices
travel     rows, numbers, probs (B, C)     past, ring, averages      O(B C)  travel_by_slices
blend      rows, numbers, probs (B, C)     means (N, C)              O(B C)  means_by_sums
hash_rows  key ()                          out (N,)                  O(N)    hashes_in_integers
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import value

EL2N, MARGIN, PROBABILITY, LOSS, ENTROPY, PROBABILITY_MARGIN = range(6)
COLUMNS = 6


@kernel
def first_bad(indices: NDArray[np.int64], labels: NDArray[np.int64], n: int, classes: int) -> int:
    """Return the first position whose index or label is not in [0, n) or [0, classes), or -1."""
    for j in range(indices.size):
        if indices[j] < 0 or indices[j] >= n or labels[j] < 0 or labels[j] >= classes:
            return j
    return -1


@kernel
def lower(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    below: NDArray[np.float64],
    margins: NDArray[np.float64],
) -> int:
    """Subtract the largest logit of each row; return how many rows are not finite.

    logits  : float32 or float64 (B, C)
    labels  : int64 (B,)      y
    below   : float64 (B, C)  z - max z, <= 0; zeros in a row that is not finite
    margins : float64 (B,)    z_y - max of the others; NaN in a row that is not finite
    """
    skipped = 0
    for j in range(labels.size):
        finite, lowest, rival = True, np.inf, -np.inf
        for k in range(logits.shape[1]):
            z = np.float64(logits[j, k])
            finite &= np.isfinite(z)
            lowest = min(lowest, z)
            if k != labels[j]:
                rival = max(rival, z)
        own = np.float64(logits[j, labels[j]])
        top = max(own, rival)
        if not finite or not np.isfinite(top - lowest):
            skipped += 1
            margins[j] = np.nan
            below[j, :] = 0.0
            continue
        margins[j] = own - rival
        for k in range(logits.shape[1]):
            below[j, k] = np.float64(logits[j, k]) - top
    return skipped


@kernel
def observe(
    below: NDArray[np.float64],
    parts: NDArray[np.float64],
    labels: NDArray[np.int64],
    observed: NDArray[np.float64],
) -> None:
    """Compute the statistics of each row from its lowered logits and its label.

    below    : float64 (B, C)  as `lower` wrote it
    parts    : float64 (B, C)  exp(below), by numpy: 3 ns each where a loop of numba takes 14; that
                               of the label is overwritten
    labels   : int64 (B,)      y
    observed : float64 (6, B)  |softmax - onehot|; (not written: the margin); p_y; -log p_y;
                               entropy; p_y - max of the others

    The other classes are summed separately from the label: 1 - p_y would cancel if p_y is near 1,
    as it is for most samples late in training.
    """
    for j in range(labels.size):
        y = labels[j]
        own, lowered = parts[j, y], below[j, y]
        parts[j, y] = 0.0
        others, squares, weighted, rival = 0.0, 0.0, 0.0, 0.0
        for k in range(below.shape[1]):
            part = parts[j, k]
            others += part
            squares += part * part
            weighted += part * below[j, k]
            rival = max(rival, part)
        total = own + others
        log_total = np.log1p(others) if lowered == 0.0 else np.log(total)
        observed[EL2N, j] = np.sqrt(others * others + squares) / total
        observed[PROBABILITY, j] = own / total
        observed[LOSS, j] = log_total - lowered
        observed[ENTROPY, j] = log_total - (weighted + own * lowered) / total
        observed[PROBABILITY_MARGIN, j] = (own - rival) / total


@kernel
def number(
    rows: NDArray[np.int64], presentations: NDArray[np.int32], numbers: NDArray[np.int64]
) -> None:
    """Count each presentation, and return its number within its sample: 1 for the first.

    presentations : int32 (N,)
    numbers       : int64 (B,)
    """
    for j in range(rows.size):
        presentations[rows[j]] += 1
        numbers[j] = presentations[rows[j]]


@kernel
def add(rows: NDArray[np.int64], values: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Add each value to the sum of its row: float64 (N,)."""
    for j in range(rows.size):
        sums[rows[j]] += values[j]


@kernel
def average(
    rows: NDArray[np.int64],
    values: NDArray[np.float64],
    weight: float,
    averages: NDArray[np.float64],
) -> None:
    """Update the moving average of each row by its value; with weight 1 it is the last value.

    averages : float64 (N,)  average <- weight * value + (1 - weight) * average; NaN is replaced
    """
    for j in range(rows.size):
        i = rows[j]
        if weight == 1.0 or np.isnan(averages[i]):
            averages[i] = values[j]
        else:
            averages[i] = weight * values[j] + (1.0 - weight) * averages[i]


@kernel
def history(
    rows: NDArray[np.int64],
    numbers: NDArray[np.int64],
    margins: NDArray[np.float64],
    events: NDArray[np.int32],
    streaks: NDArray[np.int32],
    reached: NDArray[np.int32],
) -> None:
    """Record when each row was learned and forgotten; a margin > 0 is a correct prediction.

    events  : int32 (N,)    times that a correct prediction was followed by an incorrect one
    streaks : int32 (N,)    correct predictions since the last incorrect one; > 0 is the
                            previous-answer bit
    reached : int32 (N, K)  in column k, the presentation that first completed k + 1 correct
                            predictions in a row; 0 = not yet
    """
    for j in range(rows.size):
        i = rows[j]
        if margins[j] > 0.0:
            streak = streaks[i]
            if streak < reached.shape[1] and reached[i, streak] == 0:
                reached[i, streak] = numbers[j]
            streaks[i] += 1
        else:
            if streaks[i] > 0:
                events[i] += 1
            streaks[i] = 0


@kernel
def spread(
    rows: NDArray[np.int64],
    numbers: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    margins: NDArray[np.float64],
    means: NDArray[np.float64],
    squares: NDArray[np.float64],
    correct: NDArray[np.int32],
) -> None:
    """Update mean and squared deviations of each row's probability, and count correct predictions.

    means   : float64 (N,)
    squares : float64 (N,)  sum of (p - mean)^2; a sum of p^2 would cancel if p stays near 1
    correct : int32 (N,)
    Source: Welford (1962), Technometrics 4(3), 419-420.
    """
    for j in range(rows.size):
        i = rows[j]
        gap = probabilities[j] - means[i]
        means[i] += gap / numbers[j]
        squares[i] += gap * (probabilities[j] - means[i])
        if margins[j] > 0.0:
            correct[i] += 1


@kernel
def slide(
    rows: NDArray[np.int64],
    numbers: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    ring: NDArray[np.float32],
    stds: NDArray[np.float64],
    duals: NDArray[np.float64],
) -> None:
    """Write each probability into the window of its row, and add the statistics of full windows.

    ring  : float32 (N, J)         the last J probabilities; presentation n is in column (n-1) % J
    stds  : float64 (N,) or (0,)   sum over windows of std, with J - 1 in the denominator
    duals : float64 (N,) or (0,)   sum over windows of std * (1 - mean)
    """
    width = ring.shape[1]
    for j in range(rows.size):
        i = rows[j]
        ring[i, (numbers[j] - 1) % width] = probabilities[j]
        if numbers[j] < width:
            continue
        mean = 0.0
        for k in range(width):
            mean += np.float64(ring[i, k])
        mean /= width
        squares = 0.0
        for k in range(width):
            squares += (np.float64(ring[i, k]) - mean) ** 2
        std = np.sqrt(squares / (width - 1))
        if stds.size > 0:
            stds[i] += std
        if duals.size > 0:
            duals[i] += std * (1.0 - mean)


@kernel
def travel(
    rows: NDArray[np.int64],
    numbers: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    past: NDArray[np.float32],
    ring: NDArray[np.float32],
    decay: float,
    averages: NDArray[np.float64],
) -> None:
    """Measure how far the probabilities of each row moved, and average how uneven the moves are.

    probabilities : float64 (B, C)      of every class
    past          : float32 (N, C)      the probabilities at the last presentation; replaced
    ring          : float32 (N, J - 1)  the last J - 1 moves; that of presentation n, which is
                                        sum_c p_c |log((p_c + 1e-8) / (past_c + 1e-8))|, is in
                                        column (n - 2) % (J - 1)
    averages      : float64 (N,)        for each full window of J presentations
                                        average <- decay * |moves - mean| + (1 - decay) * average
    """
    width = ring.shape[1]
    for j in range(rows.size):
        i = rows[j]
        move = 0.0
        for k in range(past.shape[1]):
            p = probabilities[j, k]
            if numbers[j] > 1:
                move += p * abs(np.log((p + 1e-8) / (np.float64(past[i, k]) + 1e-8)))
            past[i, k] = p
        if numbers[j] == 1:
            continue
        ring[i, (numbers[j] - 2) % width] = move
        if numbers[j] - 1 < width:
            continue
        mean = 0.0
        for k in range(width):
            mean += np.float64(ring[i, k])
        mean /= width
        squares = 0.0
        for k in range(width):
            squares += (np.float64(ring[i, k]) - mean) ** 2
        averages[i] = decay * np.sqrt(squares) + (1.0 - decay) * averages[i]


@kernel
def blend(
    rows: NDArray[np.int64],
    numbers: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    means: NDArray[np.float32],
) -> None:
    """Update the mean probability of every class over the presentations of each row.

    probabilities : float64 (B, C)
    means         : float32 (N, C)  mean <- mean + (p - mean) / number
    """
    for j in range(rows.size):
        i = rows[j]
        for k in range(means.shape[1]):
            before = np.float64(means[i, k])
            means[i, k] = before + (probabilities[j, k] - before) / numbers[j]


@kernel
def hash_rows(key: np.uint64, out: NDArray[np.uint64]) -> None:
    """Write value number i of `key` at position i: sorted, they put the rows in a random order."""
    for i in range(out.size):
        out[i] = value(key, np.uint64(i))
