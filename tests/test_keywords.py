"""A wrong keyword names what was called, and the remedy; `repr` prints the arguments."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest
import torch

from sampling import (
    Selection,
    batch_selection,
    clustering,
    distributed,
    samplers,
    scores,
    selection,
    testing,
    weighting,
)
from sampling._check._keywords import short, told
from sampling.batch_selection import TopKLoss
from sampling.samplers import (
    ODM,
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    EpochBatchSampler,
    EpochOptions,
    EpochSampler,
    EpsilonGreedySampler,
    GroupBatchSampler,
    InfoBatchSampler,
    MixtureSampler,
    MixtureUpdater,
    RepeatFactorSampler,
    ShuffleSampler,
    SubsetSampler,
    TokenBudgetBatchSampler,
    UCBSampler,
    WeightedSampler,
)
from sampling.samplers.dynamic._pruning import PruningSampler
from sampling.samplers.tables import ShuffledTable
from sampling.selection import d2
from sampling.testing._every_sampler import SAMPLERS

ROWS = np.eye(4)
CASES = [
    (lambda **o: ShuffleSampler(9, **o), "generator", "write seed, an int, such as generator.init"),
    (lambda **o: ShuffleSampler(9, **o), "world_size", "write num_replicas instead of world_size"),
    (lambda **o: ShuffleSampler(9, **o), "shuffle", "omit shuffle: the order is shuffled again"),
    (lambda **o: ShuffleSampler(9, **o), "sede", "did you mean 'seed'"),
    (lambda **o: ShuffleSampler(9, **o), "batch_size", r"or to EpochBatchSampler\(sampler, batch"),
    (lambda **o: ShuffleSampler(9, **o), "num_workers", "give num_workers to DataLoader"),
    (
        lambda **o: ShuffleSampler(9, **o),
        "start_epoch",
        r"call set_epoch\(epoch\), not start",
    ),
    (lambda **o: ShuffleSampler(9, **o), "replacement", "is a keyword of ImportanceSampler, Rep"),
    (lambda **o: ShuffleSampler(**o), "dataset", "write data_source instead of dataset"),
    (lambda **o: ClassBalancedSampler(**o), "targets", "write labels instead of targets"),
    (lambda **o: WeightedSampler([1, 2], **o), "replace", "write replacement instead of replace"),
    (lambda **o: InfoBatchSampler(9, 5, **o), "prune_ratio", "write drop_prob instead"),
    (lambda **o: InfoBatchSampler(9, **o), "epochs", "write num_epochs instead of epochs"),
    (lambda **o: SubsetSampler(**o), "indices", "write selection instead of indices"),
    (lambda **o: ClassesPerBatchSampler([0, 1], **o), "k", "write samples_per_class instead of k"),
    (lambda **o: TokenBudgetBatchSampler([1, 2], **o), "max_num", "write max_tokens instead"),
    (
        lambda **o: EpochBatchSampler(ShuffleSampler(9), 2, **o),
        "seed",
        "pass seed to the inner sampler",
    ),
    (
        lambda **o: GroupBatchSampler([0, 1], **o),
        "batch_size",
        "of a size that groups_per_batch giv",
    ),
    (
        lambda **o: ClassesPerBatchSampler([0, 1], 1, 1, **o),
        "batch_size",
        "classes_per_batch and samples_per_class give: give it to DataLoader as batch_sampler=",
    ),
    (lambda **o: MixtureSampler([3, 4], **o), "stopping_strategy", "write stop instead"),
    (lambda **o: RepeatFactorSampler([0, 1], **o), "repeat_thresh", "write threshold instead"),
    (lambda **o: RepeatFactorSampler([0, 1], **o), "oversample_thr", "write threshold instead"),
    (lambda **o: TopKLoss(**o), "k", "write keep instead of k"),
    (lambda **o: selection.top(np.arange(4.0), **o), "train_size", "write budget instead of train"),
    (lambda **o: selection.METHODS["ccs"].function(np.arange(4.0), 2, **o), "n_strata", "did you"),
    (lambda **o: selection.k_center(budget=1, **o), "X", "write embeddings instead of X"),
    (
        lambda **o: selection.top(np.arange(4.0), **o),
        "prune_rate",
        "the fraction to keep, 1 - prune",
    ),
    (lambda **o: scores.el2n(torch.ones(2, 2), **o), "targets", "write labels instead of targets"),
    (lambda **o: weighting.group_dro(torch.ones(2), **o), "group", "write groups instead of group"),
    (lambda **o: weighting.GroupWeights(**o), "n_groups", "did you mean 'num_groups'"),
    (lambda **o: clustering.kmeans(ROWS, **o), "k", "write n_clusters instead of k"),
    (lambda **o: Selection(np.arange(3), **o), "weight", "write weights instead of weight"),
    (lambda **o: ShuffleSampler(2).reduce(torch.ones(2), [0, 1], **o), "weights", "weighting"),
]


@pytest.mark.parametrize(
    ("call", "word", "remedy"), CASES, ids=[f"{c[1]}{i}" for i, c in enumerate(CASES)]
)
def test_a_wrong_keyword_gets_the_remedy(call, word, remedy):
    with pytest.raises(TypeError, match=rf"^\S+ takes no keyword '{word}': .*{remedy}"):
        call(**{word: 1})


class Own(EpochSampler):
    """One that hands on whatever it does not know."""

    def __init__(self, n, **options):
        self.mine = options.pop("mine", 0)
        super().__init__(n, n, **options)

    def table(self, epoch):
        return ShuffledTable(self.size, self.num_samples, np.uint64(epoch))


def test_a_subclass_is_named_and_may_take_any_keyword_of_its_own():
    assert repr(Own(9, mine=3, seed=1)) == "Own(n=9, mine=3, seed=1)"
    with pytest.raises(TypeError, match="Own takes no keyword 'generator': write seed, an int"):
        Own(9, generator=None)


def test_nothing_is_read_before_a_wrong_keyword_is_refused():
    class Dear:
        def __array__(self, *_, **__):
            raise AssertionError("was read")

    with pytest.raises(TypeError, match="ClassBalancedSampler takes no keyword 'powr': did you"):
        ClassBalancedSampler(Dear(), powr=0.5)
    with pytest.raises(TypeError, match="top takes no keyword 'sed': did you mean 'seed'"):
        selection.top(Dear(), 1, sed=1)


def test_several_wrong_keywords_are_named_together():
    message = "no keywords 'rng', 'shuffel': write seed, an int instead of rng; omit shuffle"
    with pytest.raises(TypeError, match=message):
        ShuffleSampler(9, rng=1, shuffel=True)


@pytest.mark.parametrize("name", SAMPLERS)
def test_repr_prints_the_arguments_and_survives_a_copy(name):
    sampler = SAMPLERS[name](seed=7)
    text = repr(sampler)
    assert text.startswith(f"{type(sampler).__name__}(")
    assert "seed=7" in text
    assert "array(" not in text
    assert len(text) < 500
    for other in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):  # noqa: S301
        assert repr(other) == text


def test_repr_in_short_form():
    sampler = ClassBalancedSampler(np.zeros(10**5, np.int64), power=np.float64(0.5))
    assert repr(sampler) == "ClassBalancedSampler(labels=<int64 (100000,)>, power=0.5)"
    inner = WeightedSampler(torch.ones(4), num_replicas=2, rank=1)
    assert repr(EpochBatchSampler(inner, 2)) == (
        "EpochBatchSampler(sampler=WeightedSampler(weights=<float32 (4,)>, num_replicas=2, "
        "rank=1), batch_size=2)"
    )
    mixed = MixtureSampler([range(3), range(4)], updater=ODM(exploration=0.2))
    assert repr(mixed) == "MixtureSampler(lengths=<list of 2>, updater=ODM(exploration=0.2))"
    assert (
        repr(SubsetSampler(Selection(np.arange(3)))) == "SubsetSampler(selection=<Selection of 3>)"
    )
    assert short(print) == "<print>"
    assert short("x" * 100) == "'" + "x" * 56 + "..."
    assert short([0.5, 1]) == "[0.5, 1]"


def test_signatures_and_abstract_classes_are_as_they_were():
    assert [*inspect.signature(ShuffleSampler).parameters][:4] == [
        "data_source",
        "num_samples",
        "num_repeats",
        "seed",
    ]
    assert inspect.signature(selection.top).parameters["budget"].default is inspect.Parameter.empty
    with pytest.raises(TypeError, match="abstract"):
        MixtureUpdater(floor=0.0, max_change=None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'data_source'"):
        ShuffleSampler()

    @told
    def twice(x, *, factor=2):
        return x * factor

    assert twice(2, factor=3) == 6
    with pytest.raises(TypeError, match="twice takes no keyword 'fctor': did you mean 'factor'"):
        twice(2, fctor=3)


@pytest.mark.parametrize(
    "call",
    [
        lambda **o: selection.Task(**o),
        lambda **o: selection.Picks(**o),
        lambda **o: selection.Estimate(**o),
        lambda **o: batch_selection.Chosen(**o),
        lambda **o: distributed.meet(**o),
        lambda **o: selection.check_call(**o),
        lambda **o: testing.Report(**o),
    ],
)
def test_what_is_exported_names_a_wrong_keyword_first(call):
    with pytest.raises(TypeError, match="takes no keyword 'wrong_one'"):
        call(wrong_one=1)


def test_a_warning_is_of_the_line_that_called():
    with pytest.warns(UserWarning, match="using 3") as caught:
        clustering.kmeans(np.eye(3), 5)
    assert caught[0].filename == __file__


def test_a_clustering_where_numbers_are_wanted():
    found = clustering.kmeans(np.eye(4), 2)
    with pytest.raises(TypeError, match="give the embeddings themselves"):
        selection.k_center(found, 2)
    with pytest.raises(TypeError, match="give the scores themselves"):
        selection.top(found, 2)
    with pytest.raises(TypeError, match="give its `labels`"):
        ClassBalancedSampler(found)


def test_what_would_have_no_effect_is_refused():
    with pytest.raises(ValueError, match="unlabeled must be omitted without groups, got 'drop'"):
        selection.top(np.arange(4.0), 2, unlabeled="drop")
    with pytest.raises(ValueError, match="must hold a category, got none in all 2 rows"):
        samplers.RepeatFactorSampler([[], []], 0.5)
    with pytest.raises(TypeError, match=r"buckets must be pairs \(quantile, keep\), got 4"):
        InfoBatchSampler(9, 5, buckets=4)


class Images:
    dtype = torch.float32

    def __init__(self, shape):
        self._shape = shape

    @property
    def shape(self):
        if isinstance(self._shape, Exception):
            raise self._shape
        return self._shape

    def __len__(self):
        return 8


@pytest.mark.parametrize(
    "shape",
    [224, len, np.ones(2), (), KeyError("x"), RuntimeError("x")],
    ids=["int", "method", "array", "none", "key", "runtime"],
)
def test_a_dataset_may_have_any_shape_of_its_own(shape):
    for sampler in (ShuffleSampler(Images(shape)), InfoBatchSampler(Images(shape), 4)):
        assert sampler.size == 8
        assert "=<Images" in repr(sampler)
    assert MixtureSampler({"a": Images(shape), "b": 4}).sizes.tolist() == [8, 4]
    for number in (np.array(8), torch.tensor(8)):
        assert ShuffleSampler(number).size == 8


def test_signatures_spell_out_the_options_and_print_array_like_by_its_name():
    for name in samplers.__all__:
        made = getattr(samplers, name)
        if not (inspect.isclass(made) and issubclass(made, samplers.EpochSampler)):
            continue
        shown = inspect.signature(made)
        assert set(EpochOptions.__annotations__) <= set(shown.parameters), name
        assert "numpy._typing" not in str(shown), name
        options = inspect.signature(made.__init__).parameters
        assert [*shown.parameters][: len(options) - 2] == [*options][1:-1], name
    shown = str(inspect.signature(samplers.WeightedSampler))
    assert shown.startswith(
        "(weights: ArrayLike, num_samples: int | None = None, replacement: bool"
    )
    assert "seed: int = 0" in shown


FAMILY = {  # options of pruners: how each of them documents one
    "anneal_fraction": r"Final fraction of the run, in which every sample is drawn\b",
    "score_ema": r"Weight of the new (loss|value) in the moving average of a score\b",
}


def test_what_pruners_show_and_document_are_the_defaults_that_they_use():
    """The options of the family are written once, in its base, with other defaults in a class."""
    classes = [getattr(samplers, name) for name in samplers.__all__]
    pruners = [each for each in classes if PruningSampler in getattr(each, "__mro__", ())]
    assert len(pruners) == 12
    for made in pruners:
        shown = inspect.signature(made).parameters
        sampler = made(8, 8, **({"labels": np.arange(8) % 2} if "labels" in shown else {}))
        for option in ("objective", "seed", *FAMILY):
            if option in shown:
                assert getattr(sampler, option) == shown[option].default, (made, option)
        documented = dict(re.findall(r"^    (\w+) : .*, default (\S+)\n", made.__doc__, re.M))
        for option in FAMILY.keys() & shown.keys():
            assert float(documented[option]) == shown[option].default, (made, option)
            text = made.__doc__.partition(f"    {option} : ")[2].split("\n", 1)[1]
            assert re.match(FAMILY[option], " ".join(text.split())), (made, option)
    assert inspect.signature(EpsilonGreedySampler).parameters["score_ema"].default == 0.8
    assert [*inspect.signature(InfoBatchSampler).parameters][2:6] == [
        "drop_prob", "buckets", "anneal_fraction", "score_ema"
    ]  # fmt: skip


def test_a_pruner_of_others_that_passes_everything_on_names_the_options_of_its_family():
    class Own(InfoBatchSampler):
        def __init__(self, **arguments):
            super().__init__(8, 8, **arguments)

    assert Own(anneal_fraction=0.5, drop_prob=0.25).anneal_fraction == 0.5
    with pytest.raises(TypeError, match="InfoBatchSampler|Own.*did you mean 'anneal_fraction'"):
        Own(aneal_fraction=0.5)
    with pytest.raises(TypeError, match="UCBSampler takes no keyword 'score_ema'"):
        UCBSampler(8, 8, score_ema=0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: d2([1.0], [[1.0]], budget=1), "scores, budget; .* got 'budget' by"),
        (lambda: d2([1.0], 1, [[1.0]]), "scores, budget; .* got 3 arguments"),
        (lambda: ShuffleSampler(9, *range(9)), "ShuffleSampler takes by position.*got 10"),
        (lambda: ShuffleSampler(9).set_epoch(1, epoch=2), "order: epoch; got 'epoch' by"),
    ],
)
def test_arguments_in_a_wrong_place_are_answered_with_their_order(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: samplers.RCAPSampler([0, 1], budget=0.5), "write keep instead of budget"),
        (lambda: samplers.SubsetSampler([0], num_epochs=3), "omit num_epochs"),
        (
            lambda: samplers.ClassesPerBatchSampler([0, 1], 2, 1, group=[0, 0]),
            "write outer instead of group",
        ),
        (lambda: selection.graph_cut([[1.0]], 1, lam=0.5), "write redundancy instead of lam"),
    ],
)
def test_names_of_others(call, told):
    with pytest.raises(TypeError, match=told):
        call()
