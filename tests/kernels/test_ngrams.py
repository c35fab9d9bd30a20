"""Hashed n-grams of words, against tokens of a regular expression and Python's integers."""

import re

import numpy as np
import oracle_text as oracles
import pytest

from sampling.kernels._ngrams import MARK, SPACE, WORD, hashed_ngrams
from sampling.selection.by_text._ngrams import _kinds

TEXTS = [
    "to be, or not to be?!",
    "",
    "...",
    "x",
    "snake_case 3.14",
    "  \t",
    "a\0b\x1fé 中文!中",
    "ß²",
]


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_buckets_are_those_of_words(width):
    points = np.array([ord(each) for text in TEXTS for each in text], np.uint32)
    ends = np.cumsum([len(text) for text in TEXTS])
    out, tokens = np.empty(points.size * width, np.int64), np.empty(len(TEXTS), np.int64)
    recent = np.empty(width, np.uint64)
    used = hashed_ngrams(points, ends, _kinds(), recent, 997, out, tokens)
    expected = [oracles.ngrams_by_words(text, width, 997) for text in TEXTS]
    assert tokens.tolist() == [count for _, count in expected]
    assert out[:used].tolist() == [bucket for buckets, _ in expected for bucket in buckets]


def test_kinds_of_characters_are_those_of_regular_expressions():
    characters = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    kinds = np.delete(_kinds(), np.s_[0xD800:0xE000])
    for kind, pattern in ((WORD, r"\w"), (SPACE, r"\s"), (MARK, r"[^\w\s]")):
        at = np.array([each.start() for each in re.finditer(pattern, characters)])
        assert np.array_equal(np.flatnonzero(kinds == kind), at)
