"""Intervals for new examples, and pseudo-values of metrics that are no mean."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score, r2_score

from sampling.bench.statistics import Components, components, new_examples, pseudo_values


def generator(seed=0):
    return np.random.RandomState(seed)  # noqa: NPY002


def crossed(random, count, seeds, examples, sd_seed, sd_example, sd_rest):
    seed = random.normal(0, sd_seed, (count, seeds, 1))
    example = random.normal(0, sd_example, (count, 1, examples))
    return seed + example + random.normal(0, sd_rest, (count, seeds, examples))


def test_mean_squares_and_satterthwaite_agree_with_loops():
    (table,) = crossed(generator(), 1, 4, 6, 1, 2, 0.5)
    seeds, examples = table.shape
    mean = table.mean()
    ms_seed = sum(examples * (table[s].mean() - mean) ** 2 for s in range(seeds)) / (seeds - 1)
    ms_example = sum(seeds * (table[:, e].mean() - mean) ** 2 for e in range(examples))
    ms_example /= examples - 1
    ms_rest = 0.0
    for s, e in itertools.product(range(seeds), range(examples)):
        ms_rest += (table[s, e] - table[s].mean() - table[:, e].mean() + mean) ** 2
    ms_rest /= (seeds - 1) * (examples - 1)
    with_gap = np.insert(table, 2, np.nan, axis=0)
    found = components(with_gap)
    assert found == Components(
        *(pytest.approx(each) for each in (ms_seed, ms_example, ms_rest)), seeds, examples
    )
    total = ms_seed + ms_example - ms_rest
    df = total**2 / (ms_seed**2 / 3 + ms_example**2 / 5 + ms_rest**2 / 15)
    assert found.variance() == pytest.approx((total / 24, df))
    interval = new_examples(mean, found)
    half = stats.t.isf(0.025, df) * np.sqrt(total / 24)
    assert (interval.low, interval.high) == pytest.approx((mean - half, mean + half))
    assert interval.non_inferior(mean, 0.3) == pytest.approx(
        stats.t.sf((mean + 0.3) / np.sqrt(total / 24), df)
    )


def test_a_component_that_is_estimated_negative_is_none():
    assert Components(4.0, 1.0, 2.0, 5, 10).variance() == (4 / 50, 4)
    assert Components(1.0, 4.0, 2.0, 5, 10).variance() == (4 / 50, 9)
    assert Components(1.0, 4.0, 2.0, 5, 10).variance(8.0, 11.0)[0] == 10 / 50
    assert new_examples(0.0, Components(0.0, 0.0, 0.0, 5, 10)) is None


@pytest.mark.parametrize("deviations", [(0.3, 3, 6), (0.3, 0.5, 6), (0.05, 3, 6), (1, 0, 6)])
def test_intervals_for_new_examples_cover(deviations):
    """1,000 tables of 5 seeds and 60 examples: at least 95 %, within four standard errors."""
    many = crossed(generator(), 1000, 5, 60, *deviations)
    covered = 0
    for table in many:
        found = new_examples(table.mean(), components(table))
        covered += found.low <= 0 <= found.high
    assert covered / 1000 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 1000)


def test_tables_of_examples_are_checked():
    with pytest.raises(ValueError, match=r"differences must have shape \(S, E\), got \(3,\)"):
        components(np.zeros(3))
    table = np.zeros((3, 4))
    table[1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN for all, got 1 of 4 not finite in row 1"):
        components(table)
    table[1:] = np.nan
    with pytest.raises(ValueError, match=r"two seeds and two examples, got shape \(1, 4\)"):
        components(table)


METRICS = {
    "accuracy": lambda outputs, targets: np.mean(outputs == targets),
    "Balanced-Accuracy": lambda outputs, targets: balanced_accuracy_score(targets, outputs),
    "macro_f1": lambda outputs, targets: f1_score(targets, outputs, average="macro"),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("words", [False, True])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_pseudo_values_agree_with_leaving_out_one_example_at_a_time(name, words):
    """With a class of one example, and one that is only predicted."""
    random = generator(1)
    targets = np.append(random.randint(0, 3, 40), 7)
    outputs = np.where(random.rand(41) < 0.6, targets, random.randint(0, 3, 41))
    outputs[5] = 9
    if words:
        targets, outputs = targets.astype(str), outputs.astype(str)
    assert pseudo_values(name, outputs, targets) == pytest.approx(
        pseudo_values(METRICS[name], outputs, targets)
    )


def test_pseudo_values_of_r2_and_of_means():
    targets = generator().normal(0, 1, 30)
    outputs = targets + generator(1).normal(0, 0.5, 30)
    wanted = pseudo_values(lambda o, t: r2_score(t, o), outputs, targets)
    assert pseudo_values("R2", outputs, targets) == pytest.approx(wanted)
    right = (outputs > 0) == (targets > 0)
    assert pseudo_values("accuracy", outputs > 0, targets > 0) == pytest.approx(right.astype(float))
    assert wanted.mean() == pytest.approx(r2_score(targets, outputs), abs=0.05)


def test_the_jackknife_knows_how_macro_f1_varies_over_test_sets():
    """Its standard error over 400 test sets of 400 examples, within 15 %."""
    random, values, errors = generator(2), [], []
    for _ in range(400):
        targets = random.choice(5, 400, p=[0.5, 0.2, 0.15, 0.1, 0.05])
        outputs = np.where(random.rand(400) < 0.7, targets, random.randint(0, 5, 400))
        found = pseudo_values("macro f1", outputs, targets)
        values.append(found.mean())
        errors.append(found.std(ddof=1) / 20)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


def test_pseudo_values_of_ten_thousand_examples_are_counts():
    random = generator()
    targets = random.randint(0, 100, 10_000)
    outputs = np.where(random.rand(10_000) < 0.7, targets, random.randint(0, 100, 10_000))
    for name in ("balanced accuracy", "macro f1"):
        found = pseudo_values(name, outputs, targets)
        assert found.mean() == pytest.approx(np.mean(outputs == targets), abs=0.02)


def test_pseudo_values_refuse():
    with pytest.raises(ValueError, match="one length of at least 2, got shapes"):
        pseudo_values("accuracy", [1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="metric must be one of 'accuracy', .*, got 'acuracy'"):
        pseudo_values("acuracy", [1, 2], [1, 2])
    with pytest.raises(ValueError, match=r"outputs must have shape \(E,\), got \(2, 2\)"):
        pseudo_values("accuracy", np.eye(2), [0, 1])
    with pytest.raises(ValueError, match="metric must be finite .* value without example 0"):
        pseudo_values("r2", [0.0, 1, 1], [0.0, 1, 1])
