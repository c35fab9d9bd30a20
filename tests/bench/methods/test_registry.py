import inspect
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from sampling import samplers
from sampling.bench.methods._inputs import can_fill
from sampling.bench.methods._method import (
    ANY,
    CLASSES,
    DRAWS,
    LONG_TAIL,
    LOOP,
    LOSSES,
    NOISE,
    PLAIN,
    SCHEDULE,
    Context,
    TrainingPlan,
    Unreachable,
)
from sampling.bench.methods._named import all_methods, method_named
from sampling.bench.methods._registry import METHODS, default_methods, registered
from sampling.bench.tasks._builtin import load
from sampling.bench.tasks._models import RECIPES, schedule
from sampling.bench.tasks._task import cross_entropy
from sampling.bench.training import _train
from sampling.bench.training._pilot import Pilot
from sampling.bench.training._train import Clock, Job, Scorer, train
from sampling.cli import app
from sampling.samplers._registry import SAMPLERS, Entry

EPOCHS = 8
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data():
    return load("digits").few(120)


def run(data, method, keep=1.0, seed=0, budget=None, epochs=EPOCHS, **job):
    budget = keep if budget is None else budget
    pilot = Pilot(data, seed, None, epochs, 16, CPU)
    done, _ = train(
        Job(method, keep, seed, budget, epochs, epochs, job.pop("batch_size", 16), **job),
        method_named(method),
        data,
        device=CPU,
        score_of=pilot.score,
        probabilities_of=pilot.probabilities,
        calibration={},
    )
    return done


def context(labels, **changes):
    fields = {
        "size": len(labels),
        "find_labels": np.asarray(labels),
        "find_embeddings": lambda: np.eye(len(labels), dtype=np.float32),
        "losses": lambda indices: np.ones(len(indices), np.float32),
        "loss": cross_entropy,
        "score": None,
        "keep": 0.7,
        "budget": 0.7,
        "epochs": EPOCHS,
        "seed": 0,
        "batch_size": 16,
    }
    return Context(**{**fields, **changes})


SWEPT = [name for name, method in METHODS.items() if method.swept and not method.pilot]
OWN_COST = {"late-stopping", "label-issues"}
NOISY = {"rent", "dirichlet-weights"}  # need wrong labels, and cost as much as plain training
FIXED = [name for name, each in METHODS.items() if not each.swept and name not in OWN_COST | NOISY]
SCORING = {"ies", "kakurenbo", "sensitivity", "selective-backprop", "top-k", "rho-loss"}
LEAST = {"ies": 0.8}  # of 8 epochs it can exclude samples from the last two
FULL_COST = {"full-matched-rate"}  # swept, as what it is matched to is


def test_every_method_says_what_it_is_in_one_line():
    for name, method in METHODS.items():
        assert method.help
        assert "\n" not in method.help
        assert name == name.lower()
        assert set(method.default_on) <= set(ANY)
    assert [name for name, method in METHODS.items() if method.pilot] == ["infobatch"]
    assert set(default_methods([LONG_TAIL, NOISE])) == {
        *default_methods([LONG_TAIL]),
        *default_methods([NOISE]),
    }
    balancers = {name for name in METHODS if not METHODS[name].swept and name != "full"}
    assert not set(default_methods([PLAIN])) & balancers


# What only a user can choose: with it in the signature, no run can make the sampler. Batch samplers
# are no methods, since the training loop of the benchmark cuts the draws into batches.
REQUIRES = {
    "WeightedSampler": "weights",
    "RepeatFactorSampler": "threshold",
    "TrajectorySampler": "returns",
}


def test_every_sampler_of_the_registry_is_a_method_or_requires_what_no_run_knows():
    run_by = {method.sampler for method in registered().values()}
    for name in SAMPLERS:
        made = getattr(samplers, name)
        if not issubclass(made, samplers.EpochSampler):
            continue
        if name in REQUIRES:
            parameter = inspect.signature(made).parameters[REQUIRES[name]]
            assert parameter.default is parameter.empty, name
            assert not can_fill(REQUIRES[name]), name
        assert (name in run_by) != (name in REQUIRES), name


def test_a_newly_registered_sampler_is_a_method_without_an_edit_here(data, monkeypatch):
    class RareTailSampler(samplers.ShuffleSampler):
        def __init__(self, data_source, num_samples, *, labels, **options):
            assert labels.size == data_source
            super().__init__(data_source, num_samples, **options)

    class TopSampler(samplers.ShuffleSampler):
        pass

    for made, text, weight in (
        (RareTailSampler, "rare classes first", "1/(N p)"),
        (TopSampler, "has the name of a selector", "1"),
    ):
        monkeypatch.setattr(samplers, made.__name__, made, raising=False)
        monkeypatch.setitem(SAMPLERS, made.__name__, Entry("static._shuffle", text, weight))
    rows = {row[0]: row[1:] for row in all_methods()}
    help_ = "Rare classes first; loss weight 1/(N p)"
    assert rows["rare-tail"] == ("sampler", "draws", (CLASSES,), help_)
    assert rows["top-sampler"] == ("sampler", "draws", (), "Has the name of a selector")
    assert run(data, "rare-tail", 0.5).cost == pytest.approx(0.5)
    assert "rare-tail" in CliRunner().invoke(app, ["bench", "--list"]).output
    with pytest.raises(ValueError, match="did you mean 'rare-tail'"):
        method_named("rare-tial")


LOGITS = {"importance", "importance-full", "late-stopping"}  # next to losses


@pytest.mark.filterwarnings("ignore:the run takes")
def test_the_level_of_a_method_is_what_its_runs_use(data, monkeypatch):
    """Those of level "draws" never read a loss, those of "losses" only losses and indices."""
    used = set()
    reduce = _train.EpochSampler.reduce

    def spy(self, losses, indices, *, weighting=None, **known):
        if (self.weights_for(indices) != 1).any() or weighting is not None:
            used.add(LOSSES)
        return reduce(self, losses, indices, weighting=weighting, **known)

    def without(self, losses, indices, *, weighting=None, logits=None, labels=None):
        return reduce(self, losses, indices, weighting=weighting)

    for name, method in METHODS.items():
        if method.level in (SCHEDULE, LOOP) or name in OWN_COST | LOGITS:
            continue
        used.clear()
        monkeypatch.setattr(_train.EpochSampler, "reduce", spy)
        run(data.few(60), name, 0.8, epochs=2)
        if method.level == DRAWS:
            assert not used, name
        monkeypatch.setattr(_train.EpochSampler, "reduce", without)
        done = run(data.few(60), name, 0.8, epochs=2)
        assert done.done or "unreachable" in done.reason, name


NEAR = {  # other methods are exact to half a draw an epoch
    "dynamic-random-weighted": 0.02,  # the share of "easy" samples is itself random there
    "kakurenbo": 0.25,  # hides no unsure sample to meet a budget
    "seta": 0.02,  # a window may hold less than the budget
    "top-k": 0.03,  # the larger batch has a whole number of rows
    "selective-backprop": 0.03,
    "rho-loss": 0.03,
}


def test_infobatch_costs_its_target(data):
    assert run(data, "infobatch", 0.7).cost == pytest.approx(0.7, abs=0.002)


@pytest.mark.filterwarnings("ignore:the run takes")
@pytest.mark.parametrize("method", SWEPT)
def test_a_control_costs_what_infobatch_realised(data, method):
    budget = LEAST.get(method, 0.74)
    done = run(data, method, 0.7, budget=budget, pilot={"drop_prob": 0.55})
    cost = 1.0 if method in FULL_COST else budget
    assert done.cost == pytest.approx(cost, abs=NEAR.get(method, 1 / len(data.train)))
    assert done.draws == pytest.approx(done.cost * len(data.train) * EPOCHS)
    assert len(done.val_curve) == done.epochs
    assert (done.scored > 0) == (method in SCORING)


@pytest.mark.parametrize("method", [name for name in SWEPT if METHODS[name].default_on])
def test_without_a_pilot_a_control_costs_the_target(data, method):
    done = run(data, method, 0.7)
    assert done.cost == pytest.approx(0.7, abs=NEAR.get(method, 1 / len(data.train)))


@pytest.mark.parametrize("method", FIXED)
def test_methods_at_full_cost(data, method):
    assert run(data, method).cost == pytest.approx(1.0, abs=0.01)


def test_full_fewer_keeps_the_draws_and_drops_epochs(data):
    done = run(data, "full-fewer", 0.5, budget=0.4)
    assert done.epochs == 3  # of 3.2
    assert done.draws == 3 * round(0.4 * len(data.train) * EPOCHS / 3)
    assert run(data, "full-fewer", 0.01).epochs == 1


@pytest.mark.parametrize("method", ["infobatch", "dynamic-random", "dynamic-random-weighted"])
def test_a_cost_that_annealing_forbids_is_unreachable(data, method):
    done = run(data, method, 0.1)
    assert not done.done
    assert "unreachable" in done.reason
    assert done.draws == 0
    assert done.val_curve == []


@pytest.mark.parametrize("method", ["random", "rs2", "full-fewer", "sensitivity", "cluster-clip"])
def test_less_than_one_draw_is_unreachable(method):
    with pytest.raises(Unreachable, match="unreachable: .* draws an epoch are less than one"):
        METHODS[method].build(context([0, 1, 2], keep=0.01, budget=0.01))


def test_random_is_one_subset_and_rs2_is_not():
    for name, distinct in (("random", 35), ("rs2", 50)):
        sampler = METHODS[name].build(context(np.arange(50) % 5)).sampler(0)
        dealt = np.concatenate([sampler.indices(epoch) for epoch in range(3)])
        assert len(np.unique(dealt)) == distinct


def weights_of(name, classes, epoch=0, **given):
    """Return the weights of one sample of each of some classes, in an epoch."""
    plan = METHODS[name].build(context(**given))
    plan.sampler(epoch)
    return plan.weighting(torch.ones(len(classes)), labels=torch.tensor(classes))


def test_class_weights_are_inverse_frequencies():
    weights = weights_of("class-weighted", [0, 1, 2], labels=[0] * 6 + [1] * 3 + [2] * 2)
    torch.testing.assert_close(weights * torch.tensor([6.0, 3, 2]), weights[:1] * 6 * torch.ones(3))
    assert float(weights.mean()) == pytest.approx(1)


def test_deferred_weights_come_in_the_last_fifth():
    counts = np.array([600, 300, 2])
    given = {"labels": np.repeat([0, 1, 2], counts), "epochs": 10}
    assert weights_of("deferred", [0, 1, 2], epoch=7, **given).tolist() == [1, 1, 1]
    weights = weights_of("deferred", [0, 1, 2], epoch=8, **given).numpy()
    effective = (1 - 0.9999**counts) / (1 - 0.9999)
    np.testing.assert_allclose(weights, (1 / effective) / (1 / effective).mean(), rtol=1e-4)


def private(name):
    """The forms of three methods that the benchmark had of its own, before they were public."""

    def build(given):
        counts = np.bincount(given.labels, minlength=given.n_classes)
        if name == "logit-adjusted":
            log_shares = torch.tensor(np.log(counts / counts.sum()), dtype=torch.float32)

            def loss(logits, labels, epoch):
                return given.loss(logits + log_shares, labels)
        else:
            raw = 1 / counts
            if name == "deferred":
                raw = (1 - 0.9999) / (1 - 0.9999**counts)
            late = torch.tensor(raw / raw.mean(), dtype=torch.float32)
            begin = round(0.8 * given.epochs) if name == "deferred" else 0

            def loss(logits, labels, epoch):
                weights = (late if epoch >= begin else torch.ones_like(late))[labels]
                return given.loss(logits, labels) * (weights / weights.mean())

        sampler = samplers.ShuffleSampler(given.size, seed=given.seed)
        return TrainingPlan(lambda epoch: sampler, given.epochs, loss=loss)

    return build


@pytest.mark.parametrize("name", ["class-weighted", "deferred", "logit-adjusted"])
def test_public_forms_give_the_numbers_of_the_private_ones(data, monkeypatch, name):
    lengthened = []
    step = torch.optim.SGD.step

    def spy(self, *arguments):
        found = step(self, *arguments)
        lengthened.append(float(sum(p.detach().sum() for p in self.param_groups[0]["params"])))
        return found

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    public = run(data, name)
    first, lengthened = lengthened, []
    monkeypatch.setitem(METHODS, name, replace(METHODS[name], build=private(name)))
    before = run(data, name)
    np.testing.assert_allclose(first, lengthened, rtol=1e-4 if name == "deferred" else 1e-6)
    assert (public.val_curve, public.test) == (before.val_curve, before.test)


def test_logit_adjustment_is_that_of_the_class_shares():
    plan = METHODS["logit-adjusted"].build(context([0] * 6 + [1] * 3 + [2] * 1))
    logits, labels = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    shifted = logits + torch.log(torch.tensor([0.6, 0.3, 0.1]))
    wanted = F.cross_entropy(shifted, labels, reduction="none")
    torch.testing.assert_close(plan.loss(logits, labels, 0), wanted)


def test_the_matched_rate_is_the_mean_weight_of_infobatch_while_it_prunes(data):
    seen = run(data, "infobatch", 0.7)
    labels = data.labels()
    plan = METHODS["full-matched-rate"].build(context(labels, budget=seen.cost))
    rates = [plan.rate(epoch) for epoch in range(EPOCHS)]
    assert rates[0] == rates[-1] == 1.0
    kept = [1 / rate for rate in rates]
    assert np.mean(kept) == pytest.approx(seen.cost)  # N / M in each epoch, and M / N of them cost
    with pytest.raises(Unreachable, match="InfoBatch cannot have a cost of 0.05"):
        METHODS["full-matched-rate"].build(context(labels, budget=0.05))


def test_the_rate_of_a_plan_reaches_the_optimizer(data, monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def spy(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    run(data, "full")
    plain, rates = rates, []
    run(data, "full-matched-rate", 0.7, budget=0.7)
    factors = np.divide(rates, plain).reshape(EPOCHS, -1)
    assert set(factors[0].round(4)) == {1.0}
    assert factors[1].min() > 1.2


@pytest.mark.parametrize("classes", [2, 58, 300])
def test_methods_at_full_cost_take_any_number_of_classes(classes):
    labels = np.arange(600) % classes
    for name in FIXED:
        plan = METHODS[name].build(context(labels, keep=1.0, budget=1.0))
        sampler = plan.sampler(0)
        indices = torch.tensor(list(sampler))
        given = {"logits": torch.zeros(len(indices), classes), "labels": indices % classes}
        losses = torch.ones(len(indices))
        assert sampler.reduce(losses, indices, weighting=plan.weighting, **given).isfinite(), name


def test_group_dro_moves_weight_to_the_class_with_the_larger_loss():
    plan = METHODS["group-dro"].build(context([0, 0, 1, 1]))
    indices = torch.arange(4)
    for _ in range(200):
        weights = plan.weighting(torch.tensor([0.1, 0.1, 2.0, 2.0]), indices=indices)
    assert weights[2] > 2 * weights[0]


def test_weightings_reach_the_loss(data, monkeypatch):
    seen = []

    def spy(self, losses, indices, *, weighting=None, **_):
        seen.append((losses.detach(), weighting(losses.detach(), indices=indices)))
        return losses.mean()

    monkeypatch.setattr("sampling.samplers.ShuffleSampler.reduce", spy)
    run(data, "lin-upper")
    first, last = seen[0], seen[-1]
    assert set(first[1].tolist()) == {1.0}  # burn-in
    hardest, easiest = last[0].argmax(), last[0].argmin()
    assert last[1][hardest] > 1.5 * last[1][easiest]


def test_batch_selection_trains_on_a_batch_of_the_usual_size(data, monkeypatch):
    sizes = []
    reduce = _train.EpochSampler.reduce

    def spy(self, losses, indices, **options):
        sizes.append(losses.numel())
        return reduce(self, losses, indices, **options)

    monkeypatch.setattr(_train.EpochSampler, "reduce", spy)
    done = run(data, "top-k", 0.5)
    assert sizes[0] == 16  # of 32
    assert done.scored == EPOCHS * len(data.train)
    assert done.draws == sum(sizes)


def test_a_curriculum_begins_near_the_mean_of_each_class():
    pixels = np.random.RandomState(0).normal(size=(60, 2)).astype(np.float32)  # noqa: NPY002
    pixels[1::4] += 10  # the odd ones are far, on two sides of the mean
    pixels[3::4] -= 10
    labels = np.arange(60) // 20
    given = context(labels, find_embeddings=lambda: pixels, budget=0.5, epochs=20)
    near = METHODS["curriculum"].build(given).sampler(0).indices(0)
    far = METHODS["curriculum-hard"].build(given).sampler(0).indices(0)
    random = METHODS["curriculum-random"].build(given).sampler(0).indices(0)
    assert (near % 2 == 0).all()
    assert (far % 2 == 1).all()
    assert 0 < (random % 2).mean() < 1
    assert set(labels[near]) == {0, 1, 2}


@pytest.mark.parametrize("name", sorted(NOISY))
def test_weights_by_the_transition_matrix_of_the_wrong_labels(data, name):
    assert run(data.noisy(0.2, 0), name).cost == pytest.approx(1.0, abs=0.01)
    assert "needs the share of wrong labels" in run(data, name).reason
    plan = METHODS[name].build(context(np.arange(16) % 4, noise=0.3))
    logits = torch.eye(4)[torch.arange(16) % 4] * 9  # sure of the labels, but of the last four
    labels = torch.where(torch.arange(16) < 12, torch.arange(16) % 4, (torch.arange(16) + 1) % 4)
    total = sum(plan.weighting(torch.ones(16), labels=labels, logits=logits) for _ in range(40))
    assert total[:12].mean() > 20 * total[12:].mean()


def test_upweighted_classes_have_equal_shares():
    plan = METHODS["upweight"].build(context([0] * 6 + [1] * 3 + [2] * 1))
    weights = plan.weighting(torch.ones(10), indices=torch.arange(10))
    sums = [float(weights[at].sum()) for at in (slice(0, 6), slice(6, 9), slice(9, 10))]
    assert sums == pytest.approx([10 / 3] * 3)


def test_late_stopping_drops_mostly_wrong_labels():
    noisy = load("digits").noisy(0.4, 0)
    done = run(noisy, "late-stopping", epochs=20, batch_size=64)
    assert 0.57 < done.cost < 0.95


def test_label_issues_drops_mostly_wrong_labels_and_is_charged_for_its_folds():
    pytest.importorskip("cleanlab")
    plain = load("digits")
    noisy = plain.noisy(0.2, 0)
    done = run(noisy, "label-issues", epochs=6, batch_size=32)
    assert 0.1 < done.setting["dropped"] / len(noisy.train) < 0.35
    assert done.cost == pytest.approx(1 - done.setting["dropped"] / len(noisy.train))
    assert done.piloted == 2 * len(noisy.train) * 6
    assert done.total_cost > done.cost + 2


def test_class_weighted_loss_is_that_of_torch(data, monkeypatch):
    seen = []

    def spy(self, losses, indices, *, weighting, labels, **_):
        weights = weighting(losses, labels=labels)
        seen.append(((weights * losses).detach(), indices))
        return losses.mean()

    monkeypatch.setattr("sampling.samplers.ShuffleSampler.reduce", spy)
    monkeypatch.setattr(_train.Task, "factor", lambda self, progress: 0.0)  # it stays as it began
    run(data, "class-weighted")
    model = data.task.built_model(int(_train.key(0, 0, "bench model")))
    counts = torch.bincount(data.train.y)
    weights = (1 / counts) / (1 / counts).mean()
    losses, rows = seen[0]
    wanted = F.cross_entropy(model(data.train.x[rows]), data.train.y[rows], weight=weights)
    torch.testing.assert_close(losses.mean(), wanted)


def test_sensitivity_begins_uniform_and_counts_its_forwards(data):
    done = run(data, "sensitivity", 0.5)
    centers = int(done.setting["n_clusters"])
    assert done.scored > (EPOCHS - 1) * centers * 0.5
    assert run(data, "rs2", 0.5).scored == 0


def test_the_same_seed_gives_the_same_run(data):
    first, again, other = (run(data, "infobatch", 0.7, seed=seed) for seed in (0, 0, 1))
    assert (first.val_curve, first.test, first.draws) == (again.val_curve, again.test, again.draws)
    assert (first.val_curve, first.draws) != (other.val_curve, other.draws)


def test_one_seed_one_initial_model_whatever_the_method(data, monkeypatch):
    made = []
    build = _train.Task.built_model

    def spy(self, seed):
        made.append(build(self, seed))
        return made[-1]

    monkeypatch.setattr(_train.Task, "built_model", spy)
    monkeypatch.setattr(_train.Task, "factor", lambda self, progress: 0.0)
    run(data, "full")
    run(data, "infobatch", 0.7)
    run(data, "full", seed=1)
    weights = [next(model.parameters()) for model in made]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_no_global_random_state_moves(data):
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    run(data, "sensitivity", 0.5)
    run(data, "infobatch", 0.7)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


def test_the_test_part_is_evaluated_once(data, monkeypatch):
    parts = []
    evaluated = _train._evaluated

    def spy(task, model, part, whole):
        parts.append(part)
        return evaluated(task, model, part, whole)

    monkeypatch.setattr(_train, "_evaluated", spy)
    done = run(data, "rs2", 0.5)
    of_test = [torch.equal(part.x, data.test.x) for part in parts if len(part) == len(data.test)]
    assert sum(of_test) == 1
    assert torch.equal(parts[-1].x, data.test.x)
    assert len(parts) == done.epochs + 1


def test_balanced_accuracy_is_the_mean_of_recalls(data):
    class Constant(torch.nn.Module):
        def forward(self, x):
            return F.one_hot(torch.zeros(len(x), dtype=torch.long), 3).float()

    part = type(data.train)(torch.zeros(6, 1), torch.tensor([0, 0, 0, 0, 1, 2]))
    found = _train._evaluated(data.task, Constant(), part, data)
    assert (found.value, found.metrics["worst class"]) == (pytest.approx(4 / 6), 0.0)
    tailed = data.long_tailed(2.0, 0)
    assert _train._evaluated(data.task, Constant(), part, tailed).value == pytest.approx(1 / 3)


def test_scorer_gives_losses_in_evaluation_mode(data):
    model = RECIPES["digits"].model(10)
    scorer = Scorer(data.task, model, data.train, CPU)
    rows = np.array([5, 0])
    with torch.no_grad():
        wanted = F.cross_entropy(
            model(data.train.x[rows]), data.train.y[rows], reduction="none"
        ).numpy()
    np.testing.assert_allclose(scorer(rows), wanted, rtol=1e-6)
    assert scorer.count == 2
    assert not model.training


def test_clock_adds_up_what_is_inside():
    clock = Clock(CPU)
    assert clock.seconds == 0.0
    with clock:
        pass
    first = clock.seconds
    with clock:
        sum(range(1000))
    assert clock.seconds > first > 0.0


def test_schedule_rises_then_falls_to_zero():
    rates = [schedule(p) for p in np.linspace(0, 1, 101)]
    top = int(np.argmax(rates))
    assert rates[top] == pytest.approx(1)
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) < 0)
    assert rates[-1] == pytest.approx(0)


def test_the_cnn_takes_its_images():
    assert RECIPES["fashion-mnist"].model(10)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
