import numpy as np
import oracle_pairs as oracles
import pytest
import torch
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch

from sampling.samplers import PairBatchSampler
from sampling.samplers.batches._partners import RULES

N = 103
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.choice(5, N, p=[0.4, 0.3, 0.2, 0.07, 0.03])
DOMAINS = RANDOM.integers(0, 3, N)
LISA = {"intra_label": 0.3, "intra_domain": 0.7}

FACTORIES = {
    "cross class": lambda **o: PairBatchSampler(LABELS, 10, **o),
    "lisa": lambda **o: PairBatchSampler(LABELS, 7, LISA, domains=DOMAINS, **o),
    "whole batches only": lambda **o: PairBatchSampler(LABELS, 10, drop_last=True, **o),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
each_rule = pytest.mark.parametrize("rule", RULES)
each_pick = pytest.mark.parametrize("pick", ["sample", "class"])


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["lisa"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: PairBatchSampler(LABELS, 10),
        lambda: PairBatchSampler(LABELS[::-1], 10),
        lambda: PairBatchSampler(LABELS, 11),
        lambda: PairBatchSampler(LABELS, 10, "random"),
        lambda: PairBatchSampler(LABELS, 10, "cross_both", domains=DOMAINS),
        lambda: PairBatchSampler(LABELS, 10, "cross_both", domains=DOMAINS[::-1]),
        lambda: PairBatchSampler(LABELS, 10, LISA, domains=DOMAINS),
        lambda: PairBatchSampler(LABELS, 10, dict.fromkeys(LISA, 1), domains=DOMAINS),
        lambda: PairBatchSampler(LABELS, 10, pick="class"),
        lambda: PairBatchSampler(LABELS, 10, on_missing="self"),
        lambda: PairBatchSampler(LABELS, 10, drop_last=True),
        lambda: PairBatchSampler(LABELS, 10, seed=1),
    )


def pairs_of(batches, epochs=1):
    """Anchors and partners of some epochs: two arrays."""
    found = [
        np.array(batch).reshape(2, -1)
        for e in range(epochs)
        for batch in of_epoch(lambda: batches, e)
    ]
    return np.concatenate(found, axis=1)


def small(seed=1):
    """Classes and domains in which every odd thing occurs."""
    labels = np.array([0] * 6 + [1] * 4 + [2] * 3 + [3, 4, -1])
    domains = np.random.default_rng(seed).integers(0, 4, labels.size)
    domains[labels == 2] = 1  # a class that is in one domain only
    domains[0] = 3
    return labels, domains


@each_pick
@each_rule
@pytest.mark.parametrize("seed", [1, 2])
def test_partners_are_drawn_as_the_table_of_all_pairs_says(rule, pick, seed):
    labels, domains = small(seed)
    chances = oracles.chances(labels, domains, rule, pick)
    epochs = 200
    options = {"domains": domains, "pick": pick, "on_missing": "random", "seed": seed}
    batches = PairBatchSampler(labels, 5, rule, **options)
    anchors, partners = pairs_of(batches, epochs)
    counts = np.zeros(chances.shape)
    np.add.at(counts, (anchors, partners), 1)
    assert (counts.sum(axis=1) == epochs * (labels >= 0)).all()
    assert not counts[chances == 0].any()
    # 6 deviations for each of 512 counts: fewer than 1 in 10^6 seeds fails (normal tail)
    wide = 6 * np.sqrt(epochs * chances * (1 - chances)) + 3
    assert (np.abs(counts - epochs * chances) <= wide).all()
    np.testing.assert_allclose(
        batches.sampler.expected(), (labels >= 0) + chances.sum(axis=0), atol=1e-12
    )


@each_pick
@each_rule
@pytest.mark.parametrize("on_missing", ["random", "self", "skip"])
@pytest.mark.filterwarnings("ignore:domains should be given for every sample")
def test_expected_draws_are_those_of_the_table(rule, pick, on_missing):
    for seed in range(8):
        random = np.random.default_rng(seed)
        labels = random.integers(-1, 4, 14)
        domains = random.integers(-1, 3, 14)
        chances = oracles.chances(labels, domains, rule, pick, on_missing)
        able = chances.sum(axis=1) > 0
        arguments = {"domains": domains, "pick": pick, "on_missing": on_missing}
        if not able.any():
            with pytest.raises(ValueError, match="rule must allow some sample a partner"):
                PairBatchSampler(labels, 5, rule, **arguments)
            continue
        batches = PairBatchSampler(labels, 5, rule, **arguments)
        np.testing.assert_allclose(
            batches.sampler.expected(), able + chances.sum(axis=0), atol=1e-12
        )
        assert sorted(pairs_of(batches)[0]) == np.flatnonzero(able).tolist()


def test_golden_shares_of_classes():
    """Card 4.3: 90 %, 8 % and 2 %; two classes are balanced whatever their sizes."""
    labels = np.repeat([0, 1, 2], [90, 8, 2])
    shares = PairBatchSampler(labels, 10).class_shares
    np.testing.assert_allclose(shares, [0.498314, 0.400816, 0.100870], atol=5e-7)
    by_class = PairBatchSampler(labels, 10, pick="class").class_shares
    np.testing.assert_allclose(by_class, [0.475, 0.270, 0.255], atol=1e-12)
    two = PairBatchSampler(np.repeat([0, 1], [97, 3]), 10)
    np.testing.assert_allclose(two.class_shares, [0.5, 0.5], atol=1e-12)
    random = PairBatchSampler(labels, 10, "random").class_shares
    np.testing.assert_allclose(random, [0.9, 0.08, 0.02], atol=1e-12)


def test_the_control_draws_the_same_shares_without_pairs():
    labels = np.repeat([0, 1, 2], [900, 80, 20])
    batches = PairBatchSampler(labels, 10, seed=4)
    control = batches.resample_equivalent()
    assert (control.num_samples, control.seed) == (1000, 4)
    for epoch in range(3):  # stratified: each class within two draws of its share
        counts = np.bincount(labels[control.indices(epoch)])
        np.testing.assert_allclose(counts, 1000 * batches.class_shares, atol=2)
    other = batches.resample_equivalent(seed=9, num_replicas=2, rank=1)
    assert (other.seed, other.rank) == (9, 1)


def test_a_mapping_draws_its_rules_in_their_shares():
    labels, domains = np.arange(400) % 2, np.arange(400) // 2 % 2
    batches = PairBatchSampler(labels, 50, {"intra_label": 1, "intra_domain": 3}, domains=domains)
    anchors, partners = pairs_of(batches, 25)
    same_class = labels[anchors] == labels[partners]
    same_domain = domains[anchors] == domains[partners]
    assert (same_class != same_domain).all()
    # 10,000 pairs: 6 deviations of 0.0043
    assert abs(same_class.mean() - 0.25) < 0.026
    none = PairBatchSampler(labels, 50, {"random": 1, "cross_domain": 0})
    np.testing.assert_array_equal(
        none.indices(0), PairBatchSampler(labels, 50, "random").indices(0)
    )


def test_no_sample_is_its_own_partner():
    """In LISA's loader a loop redraws the wrong index, and pairs samples with themselves."""
    for rule in RULES:
        anchors, partners = pairs_of(
            PairBatchSampler(LABELS, 10, rule, domains=DOMAINS, seed=3), epochs=30
        )
        assert (anchors != partners).all()


def test_the_epoch_is_a_pass_and_not_the_smallest_group():
    """LISA's loaders end with the smallest group; here every sample is an anchor once."""
    anchors, _ = pairs_of(FACTORIES["lisa"]())
    assert sorted(anchors) == list(range(N))


def test_what_to_do_without_a_partner():
    labels = ["a"] * 4 + ["b"]
    batches = PairBatchSampler(labels, 3, "same_class", on_missing="self")
    assert batches.num_missing == 1
    anchors, partners = pairs_of(batches)
    assert partners[anchors == 4] == [4]
    anchors, _ = pairs_of(PairBatchSampler(labels, 3, "same_class", on_missing="skip"))
    assert sorted(anchors) == [0, 1, 2, 3]
    with pytest.raises(
        ValueError, match=r"every sample must have a partner, got none for sample 4"
    ):
        PairBatchSampler(labels, 3, "same_class", on_missing="raise")
    with pytest.warns(UserWarning, match=r"^1 of 5 samples have no partner by rule same_class: "):
        batches = PairBatchSampler(labels, 3, "same_class")
    chosen = PairBatchSampler(labels, 3, "same_class", on_missing="random")  # nothing to warn of
    assert batches.batches(0) == chosen.batches(0)
    alone = PairBatchSampler(["a"], 3, "cross_class", on_missing="random")
    assert alone.batches(0) == [[0, 0]]
    assert PairBatchSampler(labels, 3).num_missing == 0


def test_a_sample_without_domain_is_constrained_by_class_only():
    labels, domains = np.repeat([0, 1], 4), np.array([0, 0, 1, 1, 0, 0, 1, -1])
    with pytest.warns(
        UserWarning, match="domains should be given for every sample, got none for 1"
    ):
        batches = PairBatchSampler(labels, 3, "intra_label", domains=domains)
    chances = oracles.chances(labels, domains, "intra_label")
    np.testing.assert_allclose(batches.sampler.expected(), 1 + chances.sum(axis=0), atol=1e-12)
    anchors, partners = pairs_of(batches, 40)
    assert set(partners[anchors == 7]) == {4, 5, 6}
    PairBatchSampler(labels, 3, "same_class", domains=domains)  # nothing to warn of


def test_unlabelled_samples_are_not_drawn_by_default():
    labels = [0, 0, None, 1, np.nan, 1]
    drawn = pairs_of(PairBatchSampler(labels, 2), 5)
    assert set(drawn.ravel()) == {0, 1, 3, 5}
    grouped = PairBatchSampler([0, 0, -1, 1, -1, 1], 2, unlabeled="group")
    assert grouped.classes.tolist() == [-1, 0, 1]
    assert set(pairs_of(grouped, 5).ravel()) == set(range(6))


def test_the_mean_over_all_draws_can_be_restored():
    labels = np.repeat([0, 1, 2], [40, 8, 4])
    batches = PairBatchSampler(labels, 13, objective="original", seed=0)
    losses = np.linspace(1, 3, labels.size)
    means = []
    for epoch in range(300):
        batches.set_epoch(epoch)
        drawn = batches.indices(epoch)
        means.append((batches.weights_for(drawn) * losses[drawn]).mean())
    error = np.std(means) / np.sqrt(300)
    assert abs(np.mean(means) - losses.mean()) < 5 * error  # 1 seed in a million fails


def test_many_cells_and_large_classes():
    labels = np.random.default_rng(5).integers(0, 1000, 6000)
    domains = np.random.default_rng(6).integers(0, 50, 6000)
    for rule, (same_class, same_domain) in oracles.ALLOWED.items():
        for pick in ("sample", "class"):
            batches = PairBatchSampler(
                labels, 999, rule, domains=domains, pick=pick, on_missing="random"
            )
            anchors, partners = pairs_of(batches)
            able = np.ones(anchors.size, bool)
            if batches.num_missing:
                cells = batches.sampler.rules.cells
                able = cells.eligible(RULES[rule])[cells.cell[anchors]] > 0
                assert (~able).sum() == batches.num_missing
            if same_class is not None:
                assert ((labels[anchors] == labels[partners]) == same_class)[able].all()
            if same_domain is not None:
                assert ((domains[anchors] == domains[partners]) == same_domain)[able].all()
            np.testing.assert_allclose(batches.sampler.expected().sum(), 12_000, rtol=1e-9)


def test_wrong_arguments():
    for arguments, options, message in (
        ((LABELS, 0), {}, "pairs_per_batch must be"),
        ((LABELS, 4, "cross"), {}, "rule must be one of"),
        ((LABELS, 4, {"cross": 1}), {}, "rule must be one of"),
        ((LABELS, 4, {"random": -1}), {}, "rule must be finite and >= 0"),
        ((LABELS, 4, {}), {}, "rule must not be empty"),
        ((LABELS, 4, "same_domain"), {}, "domains must be given for rule 'same_domain', got None"),
        ((LABELS, 4, "same_domain"), {"domains": DOMAINS[1:]}, "domains must have the length of"),
        ((LABELS, 4), {"pick": "domain"}, "pick must be one of"),
        ((LABELS, 4), {"on_missing": "drop"}, "on_missing must be one of"),
        ((LABELS, 104), {"drop_last": True}, "pairs_per_batch must be at most 103"),
        (([-1, -1], 2), {}, "labels must label at least one sample"),
    ):
        with pytest.raises(ValueError, match=message):
            PairBatchSampler(*arguments, **options)
    with pytest.raises(TypeError, match="rule must be a name, or a mapping of names to"):
        PairBatchSampler(LABELS, 4, ["random"])


def test_the_loss_of_mixed_pairs_has_no_weights():
    batches = PairBatchSampler(LABELS, 10)
    batch = next(iter(batches))
    with pytest.raises(ValueError, match=r"got 10 losses for 20 indices: mixed samples, such as p"):
        batches.reduce(torch.ones(10), batch)
