"""Duplicate texts, against all pairs of sets of strings; and the kept row that each belongs to."""

import builtins
import math

import numpy as np
import oracle_text as oracles
import pandas as pd
import pyarrow as pa
import pytest

from sampling import Selection
from sampling.errors import MissingExtraError
from sampling.io import save_selection
from sampling.record.keys import keys_for
from sampling.selection import dedup_text, twins_of
from sampling.selection.by_text import _matches
from sampling.selection.by_text._bands import bands_for, recall_at
from sampling.selection.by_text._normalize import normalized

WORDS = "red green blue grey pink gold lime teal navy rose plum rust sand jade ruby onyx".split()
RULES = ["greedy", "any_earlier", "components"]
ALL = {"num_bands": 200, "band_size": 1}  # finds all pairs of these texts, all but surely


def corpus(count, seed=0, words=6):
    """Texts of which many share all but a word; some are equal."""
    random = np.random.default_rng(seed)
    base = [" ".join(random.choice(WORDS, words)) for _ in range(count // 4)]
    texts = list(base)
    while len(texts) < count:
        parts = base[random.integers(len(base))].split()
        for _ in range(random.integers(0, 3)):
            parts[random.integers(words)] = random.choice(WORDS)
        texts.append(" ".join(parts).title() if random.random() < 0.3 else "  ".join(parts))
    return texts


TEXTS = corpus(160)
KEYS = keys_for(3, None, len(TEXTS))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("threshold", [0.5, 0.7, 1.0])
def test_kept_rows_are_those_of_all_pairs(rule, threshold):
    found = dedup_text(TEXTS, threshold=threshold, rule=rule, seed=3, **ALL)
    order = np.argsort(KEYS).tolist()
    kept = oracles.kept_by_comparing(TEXTS, order, threshold, rule)
    assert 10 < kept.sum() < 150
    assert np.array_equal(found.mask(), kept)
    assert found.info["copies"] == (~kept).sum() == found.summary()["size"] - len(found)


@pytest.mark.parametrize("keep", ["first", "longest", "quality"])
def test_who_is_kept(keep):
    quality = np.random.default_rng(1).integers(0, 5, len(TEXTS)).astype(float)
    given = {"quality": quality} if keep == "quality" else {"keep": keep}
    found = dedup_text(TEXTS, threshold=0.6, seed=3, **given, **ALL)
    lengths = [-len(oracles.same(text)) for text in TEXTS]
    late = {"first": np.arange(len(TEXTS)), "longest": lengths, "quality": -quality}[keep]
    order = np.lexsort((KEYS, late)).tolist()
    assert np.array_equal(found.mask(), oracles.kept_by_comparing(TEXTS, order, 0.6, "greedy"))


@pytest.mark.parametrize("rule", RULES)
def test_each_dropped_row_belongs_to_a_kept_one(rule):
    found = dedup_text(TEXTS, threshold=0.6, rule=rule, **ALL)
    sets = [oracles.sets_of_grams(oracles.same(text)) for text in TEXTS]
    dropped = np.flatnonzero(~found.mask())
    assert (found.kept_rows[found.indices] == -1).all()
    for row in dropped.tolist():
        kept = int(found.kept_rows[row])
        assert kept in found.indices
        value = oracles.jaccard_of_sets(sets[row], sets[kept])
        assert found.similarities[row] == value
        if rule == "greedy":
            assert value >= 0.6
            others = [oracles.jaccard_of_sets(sets[row], sets[i]) for i in found.indices.tolist()]
            if found.explain(row).rule.startswith("near"):
                earlier = found.scores[row]
                assert earlier == value <= max(others)
        if rule != "components":  # there a row may be first to match those that connect it
            assert found.scores[row] >= 0.6
    near = [row for row in dropped if found.explain(int(row)).rule.startswith("near")]
    shown = twins_of(found, count=1000)
    assert sorted(each.dropped for each in shown) == near
    assert [each.similarity for each in shown] == sorted(each.similarity for each in shown)


def test_classes_are_not_compared_and_a_missing_label_is_one_more():
    labels = np.array(["a", "b", None] * 60, object)[: len(TEXTS)]
    found = dedup_text(TEXTS, threshold=0.5, labels=labels, seed=3, **ALL)
    codes = [str(each) for each in labels]
    kept = oracles.kept_by_comparing(TEXTS, np.argsort(KEYS).tolist(), 0.5, "greedy", codes)
    assert np.array_equal(found.mask(), kept)


# ------------------------------------------------------------------ normalization, n-grams


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        ("Straße", "STRASSE", "casefold"),
        ("caf\u00e9", "cafe\u0301", "casefold nfkc"),  # composed or not
        ("ﬁne  ﬂow", " fine\tflow\n", "casefold nfkc"),  # ligatures, white space
        ("ＡＢＣ１", "ABC1", "casefold nfkc"),  # full width
        ("مرحبا  بكم", "مرحبا بكم", "casefold nfkc"),  # right to left
        ("ΌΣΟΣ", "όσος", "casefold"),  # two forms of sigma
        ("abc", "abc", "casefold nfkc none"),
        ("abc", "abd", ""),
        ("👩‍👩‍👧 a", "👩‍👩‍👧  a", "casefold nfkc"),
    ],
)
def test_normalization(one, other, kinds):
    for how in ("casefold", "nfkc", "none"):
        equal = normalized(one, how) == normalized(other, how)
        assert equal == (how in kinds.split())
        assert len(dedup_text([one, other], exact=True, normalize=how)) == 2 - equal
        assert normalized(normalized(one, how), how) == normalized(one, how)


def test_empty_and_short_texts():
    texts = ["", "  ", "\n", "a", "A", "ab", "abc", "abcd", "ba", ""]
    found = dedup_text(texts, threshold=0.5, keep="first")
    assert sorted(found.indices.tolist()) == [0, 3, 5, 6, 8]  # abc, abcd: 1 of 2
    assert found.kept_rows.tolist() == [-1, 0, 0, -1, 3, -1, -1, 6, -1, 0]


def test_surrogates_and_nul_are_characters():
    texts = ["\ud800 lone", "\ud800 lone", "a\0b c", "a b c", "a\0b c"]
    assert len(dedup_text(texts, threshold=0.9)) == 3


@pytest.mark.parametrize("ngram", [1, 2, 5])
def test_other_n_grams(ngram):
    found = dedup_text(TEXTS, threshold=0.75, ngram=ngram, keep="first", **ALL)
    sets = [oracles.sets_of_grams(oracles.same(text), ngram) for text in TEXTS]
    kept = []
    for row, own in enumerate(sets):
        if all(oracles.jaccard_of_sets(own, sets[other]) < 0.75 for other in kept):
            kept.append(row)
    assert sorted(found.indices.tolist()) == kept


# ------------------------------------------------------------------ the search


def test_bands_reach_their_recall_and_no_larger_ones_would_do():
    for threshold in (0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0):
        count, size = bands_for(threshold)
        assert recall_at(threshold, count, size) >= 0.99 - 1e-12
        assert count * size <= 128 or size == 1
        if count > 1:
            assert recall_at(threshold, count - 1, size) < 0.99
        if threshold < 1.0:
            larger = math.ceil(math.log(0.01) / math.log1p(-(threshold ** (size + 1))))
            assert larger * (size + 1) > 128
    assert bands_for(0.8) == (16, 6)
    with pytest.raises(ValueError, match=r"threshold must be at least 0.00112, .* got 0.001: give"):
        dedup_text(["a", "b"], threshold=0.001)


def test_recall_at_the_threshold():
    """Pairs of exactly Jaccard 0.8; probability of a false alarm below 1e-9, for a recall of 0.98.

    The bands are expected to find 0.9923 of 4,000; fewer than 3,935 are found with a probability
    of 2e-8 if hashes are independent. Signatures of this library scatter less than that.
    """
    random = np.random.default_rng(0)
    letters = np.array([chr(0x4E00 + i) for i in range(20_000)])
    texts = []
    for _ in range(4_000):  # 3-grams of unlike letters: 40 shared, 5 of each alone
        both = "".join(random.choice(letters, 42))
        one, other = ("".join(random.choice(letters, 5)) for _ in range(2))
        texts += [both + one, both + other]
    sets = [oracles.sets_of_grams(text) for text in texts[:2]]
    assert oracles.jaccard_of_sets(*sets) == 0.8
    found = dedup_text(texts, threshold=0.8, keep="first", normalize="none")
    assert found.info["search"]["expected_recall"] == pytest.approx(0.99228, abs=1e-5)
    assert 3_935 <= len(texts) - len(found) <= 4_000
    assert (found.kept_rows[found.kept_rows >= 0] % 2 == 0).all()
    few = dedup_text(texts, threshold=0.8, normalize="none", num_bands=2, band_size=6)
    assert len(texts) - len(few) == pytest.approx(4_000 * recall_at(0.8, 2, 6), abs=6 * 32)


def test_all_pairs_found_are_pairs_of_the_sparse_join():
    texts = corpus(600, seed=4, words=9)
    pairs = oracles.join_of_texts(texts, 0.7)
    close = set(map(tuple, pairs.tolist()))
    found = dedup_text(texts, threshold=0.7, keep="first")
    gone = np.flatnonzero(found.kept_rows >= 0)
    assert len(gone) > 200
    assert all((int(found.kept_rows[row]), row) in close for row in gone.tolist())
    kept = set(found.indices.tolist())
    missed = [pair for pair in close if kept.issuperset(pair)]
    assert len(missed) <= 0.02 * len(gone)


def test_many_equal_rows_make_no_pairs():
    texts = np.array(["the same text again and again"] * 50_000 + ["another text"])
    found = dedup_text(texts, keep="first")
    assert found.info["search"]["compared"] == 0
    assert sorted(found.indices.tolist()) == [0, 50_000]
    assert found.info["same"] == 49_999


@pytest.mark.parametrize("rule", RULES)
def test_many_variants_of_a_text_take_linear_time(rule, monkeypatch):
    monkeypatch.setattr(_matches, "_CROWD", 4)
    line = "a line of boilerplate that stands on all of the pages of this site, number"
    texts = [f"{line} {i}" for i in range(2_000)]
    found = dedup_text(texts, rule=rule, keep="first")
    assert found.indices.tolist() == [0]
    assert found.info["search"]["compared"] < 2_000 * 16 * 8
    if rule == "any_earlier":  # scores are lower bounds: no other threshold without a new search
        assert found.info["search"]["bounded"] > 0
        with pytest.raises(ValueError, match="rethreshold needs a selection determined by"):
            found.rethreshold(0.9)


def test_one_very_long_document():
    random = np.random.default_rng(0)
    text = " ".join(random.choice(WORDS, 200_000))
    assert len(text) > 900_000
    found = dedup_text([text, "short", text + " end", text[:1000]], keep="first", threshold=0.9)
    assert sorted(found.indices.tolist()) == [0, 1, 3]


# ------------------------------------------------------------------ options


def test_a_budget_cuts_or_adds_the_least_similar_copies():
    whole = dedup_text(TEXTS, threshold=0.6, **ALL)
    fewer = dedup_text(TEXTS, 10, threshold=0.6, **ALL)
    assert fewer.indices.tolist() == whole.indices[:10].tolist() == whole.head(10).indices.tolist()
    assert fewer.kept_rows.tolist() == whole.head(10).kept_rows.tolist()
    assert set(fewer.kept_rows.tolist()) <= {-1, *fewer.indices.tolist()}
    more = dedup_text(TEXTS, len(whole) + 5, threshold=0.6, **ALL)
    assert more.indices[: len(whole)].tolist() == whole.indices.tolist()
    added = more.indices[len(whole) :]
    assert more.scores[added].max() <= np.delete(more.scores, more.indices).min()
    assert (more.kept_rows[added] == -1).all()


def test_rows_already_selected_come_first_and_stay():
    texts = ["a text about ships", "A text about ships", "a text about ship", "else"]
    for rule in RULES:
        found = dedup_text(texts, threshold=0.8, rule=rule, already_selected=[1, 2])
        assert found.indices.tolist() == [3]
        assert found.kept_rows.tolist() == [1, -1, -1, -1]


def test_another_threshold_without_a_new_search():
    found = dedup_text(TEXTS, threshold=0.5, rule="any_earlier", **ALL)
    for threshold in (0.5, 0.75, 1.0):
        again = found.rethreshold(threshold)
        anew = dedup_text(TEXTS, threshold=threshold, rule="any_earlier", **ALL)
        assert set(again.indices.tolist()) == set(anew.indices.tolist())
        assert again.info["copies"] == anew.info["copies"]
        assert again.summary()["rules"] == anew.summary()["rules"]  # equal texts stay so
        gone = np.flatnonzero(again.kept_rows >= 0)
        assert gone.size
        assert np.isin(again.kept_rows[gone], again.indices).all()
        assert (again.similarities[gone] >= threshold).all()
        assert not again.mask()[gone].any()
        assert again.info["search"]["expected_recall"] == found.info["search"]["expected_recall"]
    with pytest.raises(ValueError, match=r"threshold must be in \[0.5, 1\], got 0.4"):
        found.rethreshold(0.4)
    with pytest.raises(ValueError, match="rethreshold needs a selection determined by"):
        dedup_text(TEXTS).rethreshold(0.9)


def test_the_order_of_the_rows_and_threads_change_nothing():
    from sampling import engine

    ids = np.arange(len(TEXTS)) * 7
    order = np.random.default_rng(2).permutation(len(TEXTS))
    with engine.use(engine.Local(1)):
        one = dedup_text(TEXTS, threshold=0.6, ids=ids)
    two = dedup_text([TEXTS[i] for i in order], threshold=0.6, ids=ids[order])
    assert one.ids.tolist() == two.ids.tolist()
    assert set(one.ids) != set(dedup_text(TEXTS, threshold=0.6, ids=ids, seed=1).ids)


# ------------------------------------------------------------------ containers, refusals


def test_containers_of_texts():
    texts = ["One text", "one  text", "another", "Ünï"]
    same = [
        np.array(texts), np.array(texts, object), np.ma.masked_array(texts, [False] * 4),
        tuple(texts), pd.Series(texts), pd.Series(texts, dtype="string"),
        pd.Series(texts).astype("category"), pa.array(texts),
        pa.chunked_array([texts[:1], texts[1:]]),
        pa.array(texts, pa.string_view()), pa.array(texts).dictionary_encode(),
        [each.encode() for each in texts], np.array([each.encode() for each in texts]),
        pa.array([each.encode() for each in texts]),
    ]  # fmt: skip
    for each in same:
        assert sorted(dedup_text(each, keep="first").indices.tolist()) == [0, 2, 3], type(each)


@pytest.mark.parametrize(
    "texts",
    [
        ["a b c", None, "a b c", float("nan")],
        pd.Series(["a b c", None, "a b c", None]),
        pa.array(["a b c", None, "a b c", None]),
        np.ma.masked_array(["a b c", "x", "a b c", "y"], [False, True, False, True]),
    ],
)
def test_missing_texts_are_refused_or_dropped(texts):
    with pytest.raises(ValueError, match="texts must not be missing, got a missing one in row 1: "):
        dedup_text(texts)
    found = dedup_text(texts, on_bad="drop", keep="first")
    assert found.indices.tolist() == [0]
    assert found.explain(1).rule == "a value that is not finite"
    assert found.kept_rows.tolist() == [-1, -1, 0, -1]


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        ("one text", TypeError, "texts must hold one text for each row, got one text: give a list"),
        ([1, 2], TypeError, "texts must hold strings, got 1 of type int in row 0"),
        (["a", 3.5], TypeError, "texts must hold strings, got 3.5 of type float in row 1"),
        (np.arange(3), TypeError, "texts must hold strings, got dtype int64"),
        (pa.array([1, 2]), TypeError, "texts must hold strings, got Arrow's int64"),
        (pd.DataFrame({"a": ["x"]}), TypeError, "texts must be one column, got a DataFrame"),
        ([["a"], ["b"]], TypeError, "texts must hold strings, got \\['a'\\] of type list in row 0"),
        (np.array([["a"], ["b"]]), ValueError, r"texts must have shape \(N,\), got \(2, 1\)"),
        ([], ValueError, "texts must not be empty, got length 0"),
        ([b"a", b"\xff"], ValueError, "texts must be text in UTF-8, got other bytes in row 1"),
        (pa.array([b"a", b"\xff"]), ValueError, "must be text in UTF-8, got other bytes in row 1"),
    ],
)
def test_what_is_no_text_is_refused(texts, kind, message):
    with pytest.raises(kind, match=message):
        dedup_text(texts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threshold": 0}, r"threshold must be in \(0, 1\], got 0"),
        ({"threshold": 1.1}, r"threshold must be in \(0, 1\], got 1.1"),
        ({"threshold": 0.9, "exact": True}, "threshold must be omitted with exact=True, got 0.9"),
        ({"num_bands": 3}, "num_bands and band_size must be given together, got 3 and None"),
        ({"num_bands": 9, "band_size": 999}, r"band_size must be in \[1, 456\), got 999"),
        ({"num_bands": 9, "exact": True}, "num_bands must be omitted with exact=True, got 9"),
        ({"ngram": 0}, r"ngram must be in \[1, "),
        ({"keep": "quality"}, "quality must be given for keep='quality', got None"),
        ({"keep": "last"}, "keep must be one of 'random', 'longest', 'first', 'quality', got"),
        ({"rule": "star"}, "rule must be one of 'greedy', 'any_earlier', 'components', got 'star'"),
        ({"normalize": "nfc"}, "normalize must be one of 'casefold', 'nfkc', 'none', got 'nfc'"),
    ],
)
def test_arguments_that_make_no_sense(given, message):
    with pytest.raises(ValueError, match=message):
        dedup_text(["a", "b"], **given)


def test_without_the_extra_only_equal_texts_are_dropped(monkeypatch):
    real = builtins.__import__

    def fails(name, *args, **kwargs):
        if name.startswith("rensa"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setitem(__import__("sys").modules, "rensa", None)
    monkeypatch.setattr(builtins, "__import__", fails)
    assert len(dedup_text(["a b c", "A b c", "a b d"], exact=True)) == 2
    with pytest.raises(MissingExtraError, match=r"needs rensa: pip install 'sampling\[text\]'"):
        dedup_text(["a b c", "A b c", "a b d"])


def test_twins_stay_with_a_file_and_its_report(tmp_path):
    found = dedup_text(TEXTS, threshold=0.6)
    save_selection(found, tmp_path / "subset.parquet", dropped=True)
    again = Selection.load(tmp_path / "subset.parquet")
    assert again.scores.dtype == np.float64
    assert np.array_equal(again.scores, found.scores)
    assert np.array_equal(again.kept_rows, found.kept_rows)
    assert np.array_equal(again.similarities, found.similarities, equal_nan=True)
    with pytest.raises(ValueError, match="embeddings must be given for a selection without twins"):
        twins_of(Selection(np.arange(2), size=4))
