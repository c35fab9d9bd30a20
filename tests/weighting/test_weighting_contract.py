"""What holds for every weighting function: one signature, what a bad loss does, no waiting."""

import functools
import inspect
import json
import math

import numpy as np
import pytest
import torch

from sampling import weighting
from sampling.samplers import ClassBalancedSampler, ShuffleSampler
from sampling.weighting import (
    Duals,
    GroupWeights,
    LossReference,
    RunningRisk,
    cvar,
    esrm,
    extremes,
    extremile,
    feasible,
    focal,
    group_dro,
    group_loss_scaling,
    kl_dro,
    lin_upper,
    quadratic,
    self_paced,
    tldr,
)

N = 8  # samples of the data sets here
LOSSES = torch.tensor([0.5, 2.0, 0.25, 4.0, 1.0, 0.75])
ROWS = [6, 0, 3, 1, 7, 2]
GROUPS = torch.tensor([0, 1, 0, 1, 1, 0])

# name -> a function of (losses, indices=) with fresh state, as `reduce` wants it
PLAIN = {
    "lin_upper": lambda: lin_upper,
    "lin_upper clipped": lambda: functools.partial(lin_upper, clip=0.8),
    "quadratic": lambda: quadratic,
    "extremes": lambda: extremes,
    "cvar": lambda: functools.partial(cvar, level=0.4),
    "extremile": lambda: extremile,
    "esrm": lambda: esrm,
    "kl_dro": lambda: kl_dro,
    "self_paced": lambda: functools.partial(self_paced, share=0.6),
    "self_paced linear": lambda: functools.partial(self_paced, share=0.6, form="linear"),
    "self_paced log": lambda: functools.partial(self_paced, threshold=0.9, form="log"),
}
ON_HOST = {
    "cvar chi2": lambda: functools.partial(cvar, penalty="chi2"),
    "esrm kl": lambda: functools.partial(esrm, penalty="kl"),
}
OWN_SCALE = {  # weights of no mean 1, as their docstrings say
    "kl_dro running": lambda: functools.partial(kl_dro, state=RunningRisk()),
    "esrm ranked": lambda: functools.partial(esrm, state=LossReference([0.1, 0.5, 1.0, 3.0])),
    "tldr": lambda: tldr,
    "focal": lambda: focal,
}


def by_group(losses, *, indices, state):
    groups = GROUPS[: math.prod(losses.shape)]
    return group_dro(losses, indices=indices, groups=groups, state=state)


def scaled(losses, *, indices, **arguments):
    groups = GROUPS[: math.prod(losses.shape)]
    return group_loss_scaling(losses, groups=groups, num_groups=2, **arguments)


BY_SAMPLE = {
    "group_loss_scaling": lambda: scaled,
    "group_loss_scaling error": lambda: functools.partial(scaled, form="error_bound"),
    "feasible": lambda: functools.partial(feasible, state=Duals(N), bound=0.3, step_size=0.5),
    "feasible normalised": lambda: functools.partial(
        feasible, state=Duals(N, initial=1.0), bound=0.3, step_size=0.5, normalise=True
    ),
    "group_dro": lambda: functools.partial(by_group, state=GroupWeights(2)),
}
MEAN_ONE = {**PLAIN, **ON_HOST}
ALL = {**MEAN_ONE, **OWN_SCALE, **BY_SAMPLE}


def every(cases):
    return pytest.mark.parametrize("make", list(cases.values()), ids=list(cases))


FUNCTIONS = [
    f
    for f in (getattr(weighting, name) for name in weighting.__all__)
    if inspect.isfunction(f) and "losses" in inspect.signature(f).parameters
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_one_signature(function):
    parameters = list(inspect.signature(function).parameters.values())
    names = [p.name for p in parameters]
    assert names[:5] == ["losses", "indices", "groups", "probabilities", "state"]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:])
    assert all(p.default is None for p in parameters[1:5])
    doc = inspect.getdoc(function)
    assert any(word in doc for word in ("baseline", "replication", "recommended"))
    assert "Gradients\n" in doc


def test_every_function_is_under_contract():
    names = {f.__name__ for f in FUNCTIONS}
    assert names == {name.split()[0] for name in ALL}


@every(ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_have_the_shape_of_losses_and_are_at_least_float32(make, dtype):
    weights = make()(LOSSES.to(dtype), indices=ROWS)
    assert weights.shape == LOSSES.shape
    assert weights.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.isfinite(weights).all()
    assert (weights >= 0).all()
    expected = make()(LOSSES.to(dtype).double(), indices=ROWS)  # the losses as they were rounded
    np.testing.assert_allclose(weights, expected, rtol=2e-5, atol=1e-6)


@every(MEAN_ONE)
def test_weights_have_mean_1_over_the_finite_losses(make):
    assert float(make()(LOSSES, indices=ROWS).mean()) == pytest.approx(1, rel=1e-5)


@every(MEAN_ONE)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_loss_that_is_not_finite_has_weight_0_and_moves_no_other(make, bad):
    dirty = torch.cat([LOSSES[:2], torch.tensor([bad]), LOSSES[2:]])
    weights = make()(dirty, indices=[*ROWS[:2], 5, *ROWS[2:]])
    assert weights[2] == 0
    others = torch.cat([weights[:2], weights[3:]])
    np.testing.assert_allclose(others, make()(LOSSES, indices=ROWS), rtol=1e-6)


@every(ALL)
def test_a_batch_without_a_finite_loss_has_weights_of_0(make):
    weights = make()(torch.tensor([torch.nan, torch.inf]), indices=[0, 1])
    assert weights.tolist() == [0, 0]


@every(MEAN_ONE)
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_equal_losses_get_equal_weights(make, value):
    weights = make()(torch.full((6,), value), indices=ROWS)
    np.testing.assert_allclose(weights, np.ones(6), atol=1e-6)


@every(ALL)
def test_batches_of_one_and_of_none(make):
    assert torch.isfinite(make()(LOSSES[:1], indices=ROWS[:1])).all()
    none = torch.zeros(0, dtype=torch.int64)
    assert make()(LOSSES[:0], indices=none).shape == (0,)


@every({**MEAN_ONE, **BY_SAMPLE, "kl_dro running": OWN_SCALE["kl_dro running"]})
def test_weights_are_detached_and_losses_left_alone(make):
    losses = LOSSES.clone().requires_grad_()
    assert not make()(losses * 1.0, indices=ROWS).requires_grad
    assert torch.equal(losses.detach(), LOSSES)


@every({**PLAIN, **OWN_SCALE, **BY_SAMPLE})
@pytest.mark.parametrize("there", [True, False])
def test_nothing_waits_for_a_device(make, there):
    """Tensors of the meta device have no numbers: whoever asks for one, raises."""
    indices = torch.tensor(ROWS, device="meta" if there else "cpu")
    weigh = make()
    for _ in range(3):
        weights = weigh(LOSSES.to("meta"), indices=indices)
        assert weights.is_meta
        assert weights.shape == LOSSES.shape


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every({**PLAIN, **OWN_SCALE, **BY_SAMPLE})
def test_nothing_waits_for_a_gpu(make):
    weigh, losses, indices = make(), LOSSES.cuda(), torch.tensor(ROWS).cuda()
    if make is BY_SAMPLE["group_dro"]:
        weigh = functools.partial(group_dro, groups=GROUPS.cuda(), state=GroupWeights(2))
    elif make is BY_SAMPLE["group_loss_scaling"]:
        weigh = functools.partial(group_loss_scaling, groups=GROUPS.cuda(), num_groups=2)
    elif make is BY_SAMPLE["group_loss_scaling error"]:
        weigh = functools.partial(
            group_loss_scaling, groups=GROUPS.cuda(), num_groups=2, form="error_bound"
        )
    weigh(losses, indices=indices)  # the first batch moves the state
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = weigh(losses, indices=indices)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    host = make()
    host(LOSSES, indices=ROWS)
    np.testing.assert_allclose(found.cpu(), host(LOSSES, indices=ROWS), rtol=1e-4, atol=1e-6)


@every(ALL)
@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        (np.ones(3), TypeError, "losses must be a .*tensor, got ndarray"),
        (torch.tensor(1.0), ValueError, r"losses must have shape \(B,\).*: use reduction='none'"),
        (torch.ones(3, 2, 2), ValueError, r"losses must have shape \(B,\).*, got \(3, 2, 2\)"),
        (torch.ones(3, dtype=torch.int64), TypeError, "losses must be .*, got torch.int64"),
    ],
)
def test_bad_losses(make, losses, error, message):
    with pytest.raises(error, match=message):
        make()(losses, indices=ROWS)


@pytest.fixture
def elsewhere(monkeypatch):
    """Let tensors say that they are on a device, where nobody looks at numbers."""
    monkeypatch.setattr(torch.Tensor, "is_cpu", property(lambda self: False))


@pytest.mark.usefixtures("elsewhere")
def test_on_a_device_what_would_be_refused_weighs_nan_and_moves_nothing():
    losses, duals, groups = torch.tensor([2.0, 2.0, 2.0]), Duals(3), GroupWeights(2)
    found = feasible(losses, indices=[1, 3, -1], state=duals, bound=1.0, step_size=0.5)
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan])
    assert duals.values.tolist() == [0, 0.5, 0]
    found = group_dro(losses, groups=[0, 1, 2], state=groups)
    np.testing.assert_array_equal(found, [1, 1, np.nan])
    bad = torch.tensor([0.5, -1.0, 0.5])
    assert torch.isnan(self_paced(bad, share=0.6, form="linear")).tolist() == [False, True, False]
    for function in (tldr, focal):
        assert torch.isnan(function(bad)).tolist() == [False, True, False]
        odd = torch.tensor([0.5, 1.5, torch.nan])
        assert torch.isnan(function(losses, probabilities=odd)).tolist() == [False, True, True]


# ---------------------------------------------------------------------- in the training loop


@every(ALL)
def test_reduce_weighs_each_sample_before_the_mean(make):
    """Mean before weight would give every sample the same gradient, mean(w) / B."""
    sampler = ShuffleSampler(N)
    sampler.set_epoch(0)
    losses = LOSSES.clone().requires_grad_()
    sampler.reduce(losses, ROWS, weighting=make()).backward()
    again = LOSSES.clone().requires_grad_()
    weights = make()(again, indices=ROWS)
    (weights * again).mean().backward()
    np.testing.assert_allclose(losses.grad, again.grad, rtol=1e-6)
    if not weights.requires_grad and float(weights.std()) > 1e-3:
        assert float(losses.grad.std()) > 1e-4


def test_a_batch_mean_of_weights_of_mean_1_is_the_weighted_mean():
    sampler = ShuffleSampler(N)
    weigh = functools.partial(lin_upper, temperature=0.4)
    found = {
        reduction: float(sampler.reduce(LOSSES, ROWS, reduction=reduction, weighting=weigh))
        for reduction in ("batch_mean", "weighted_mean")
    }
    assert found["batch_mean"] == pytest.approx(found["weighted_mean"])
    assert found["batch_mean"] > float(LOSSES.mean())


def test_a_nan_is_dropped_where_the_sampler_says_so_and_seen_otherwise():
    losses = torch.cat([LOSSES, torch.tensor([torch.nan])])
    rows = [*ROWS, 5]
    weigh = functools.partial(cvar, level=0.4)
    assert torch.isnan(ShuffleSampler(N).reduce(losses, rows, weighting=weigh))
    dropped = ShuffleSampler(N, nonfinite="drop").reduce(losses, rows, weighting=weigh)
    expected = ShuffleSampler(N).reduce(LOSSES, ROWS, weighting=weigh)
    assert float(dropped) == pytest.approx(float(expected))


def test_weights_multiply_those_of_the_sampler():
    sampler = ClassBalancedSampler([0, 0, 0, 0, 0, 0, 1, 1], objective="original")
    sampler.set_epoch(0)
    indices = sampler.indices(0)[:6]
    losses = torch.arange(1.0, 7.0)
    own = sampler.weights_for(torch.as_tensor(indices))
    found = sampler.reduce(losses, indices, weighting=kl_dro)
    assert float(found) == pytest.approx(float((own * kl_dro(losses) * losses).mean()))


def test_a_run_resumed_in_the_middle_goes_on_alike():
    """Sampler and state saved together: the same weights in the same steps."""
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.exponential(size=(9, 40))).float()

    def steps(sampler, state, epochs):
        weights = []
        for epoch in epochs:
            sampler.set_epoch(epoch)
            state.merge()
            drawn = np.array(list(sampler))
            for batch in np.array_split(drawn, 4):
                weigh = functools.partial(feasible, state=state, bound=0.5, step_size=0.1)
                sampler.reduce(table[epoch, batch], batch, weighting=weigh)
                weights.append(state.values)
        return weights

    sampler, state = ShuffleSampler(40, seed=1), Duals(40)
    whole = steps(sampler, state, range(4))
    sampler, state = ShuffleSampler(40, seed=1), Duals(40)
    steps(sampler, state, range(2))
    saved = state.state_dict()
    text = json.dumps({**saved, "values": saved["values"].tolist()})
    resumed = Duals(40)
    resumed.load_state_dict(json.loads(text))
    rest = steps(ShuffleSampler(40, seed=1), resumed, range(2, 4))
    np.testing.assert_array_equal(rest, whole[8:])
