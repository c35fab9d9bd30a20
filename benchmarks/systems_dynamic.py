"""Systems of the cards on dynamic methods: pruning, importance, weights of losses, curricula."""

# ruff: noqa: D401  # the docstring of a system says what is checked

import math

import numpy as np
import torch
from systems_shared import (
    after_one_epoch,
    digits,
    logits,
    losses,
    must,
    near,
    not_built,
    probabilities,
    system,
    tensor,
)

from sampling import batch_selection, samplers, scores, training, weighting

N = 1797
BATCH = tensor([1.0, 2.0, 3.0, 4.0, 9.0])


@system("dynamic 1", "InfoBatch", "Qin et al., ICLR 2024", "samplers.InfoBatchSampler")
def infobatch() -> None:
    """Weights of an epoch sum to N; all samples above the mean loss are drawn."""
    sampler = samplers.InfoBatchSampler(N, num_epochs=8)
    drawn = after_one_epoch(sampler)
    near(sampler.weights_for(drawn).sum(dtype=float), N, 1e-2)
    must(np.isin(np.flatnonzero(losses() >= losses().mean() + 1e-6), drawn).all())


@system("dynamic 1", "InfoBatch by quantiles", "Qin et al., ICLR 2024", "samplers.InfoBatchSampler")
def infobatch_quantiles() -> None:
    """Three groups by quantiles 0.2 and 0.85 keep 3/4, half and all; weights sum to N."""
    sampler = samplers.InfoBatchSampler(N, num_epochs=8, buckets=[(0.2, 0.75), (0.85, 0.5)])
    drawn = after_one_epoch(sampler)
    near(sampler.weights_for(drawn).sum(dtype=float), N, 1e-1)


@system("dynamic 2", "RS2", "Okanovic et al., ICLR 2024", "samplers.RepeatedSubsetSampler")
def rs2() -> None:
    """10 rounds of 10 % draw no digit twice in a round and each once or twice in all."""
    sampler = samplers.RepeatedSubsetSampler(N, keep=0.1)
    rounds = [sampler.indices(epoch) for epoch in range(10)]
    must(all(len(np.unique(each)) == 180 for each in rounds))
    counts = np.bincount(np.concatenate(rounds), minlength=N)
    must(counts.min() == 1 and counts.max() == 2, counts)


@system(
    "dynamic 3", "LinUpper, Quadratic, Extremes", "Sow et al., ICLR 2025",
    "weighting.lin_upper, weighting.quadratic, weighting.extremes",
)  # fmt: skip
def reweighting_by_loss() -> None:
    """Golden weights of the losses 1, 2, 3, 4, 9 at r = 0.4."""
    for weights, golden in (
        (weighting.lin_upper, [0.20, 0.37, 0.70, 1.30, 2.43]),
        (weighting.quadratic, [0.23, 0.68, 1.49, 2.38, 0.23]),
        (weighting.extremes, [1.68, 0.90, 0.48, 0.26, 1.68]),
    ):
        near(weights(BATCH, temperature=0.4), golden, 5e-3)


@system("dynamic 4", "Late Stopping", "Yuan et al., ICCV 2023", "samplers.LateStoppingSampler")
def late_stopping() -> None:
    """A round ends once 80 % are learnt; a wrongly predicted label is not kept."""
    sampler = samplers.LateStoppingSampler(N, num_epochs=9, keep=0.8, rounds=(1,), warm_up=0)
    _, y = digits()
    for epoch in range(2):
        sampler.set_epoch(epoch)
        sampler.record(np.arange(N), losses(), logits=tensor(logits()), labels=torch.tensor(y))
    sampler.set_epoch(2)
    must(sampler.round_ended and (logits()[sampler.kept].argmax(1) == y[sampler.kept]).all())


@system(
    "dynamic 5", "Multistage data filtering", "Ouyang et al., IJCAI 2023",
    "batch_selection.MultistageFilter",
)  # fmt: skip
def multistage() -> None:
    """After the warm-up, the rows of a batch above the mean loss of the window."""
    selector = batch_selection.MultistageFilter(warmup=1)
    selector.observe(tensor(losses()[:128]))
    chosen = selector.select(tensor(losses()[128:256])).rows
    must(selector.stage == 1 and 0 < len(chosen) < 128)
    must((losses()[128:256][chosen] > losses()[:128].mean()).all())


@system(
    "dynamic 6", "VCAS, its controller", "Wang, Chen, Zhu, ICLR 2024",
    "samplers.VarianceBudgetSampler",
    "the masks of each layer inside the backward pass",
)  # fmt: skip
def variance_budget() -> None:
    """Fewer samples than N whose added variance is at most tau."""
    sampler = samplers.VarianceBudgetSampler(N, num_epochs=8, tau=0.05)
    drawn = after_one_epoch(sampler)
    must(len(drawn) < N and sampler.added_variance <= 0.05, sampler.added_variance)


@system("dynamic 7", "PA&DA, its data half", "Lu et al., CVPR 2023", "samplers.ImportanceSampler",
        "the half that samples paths of a network")  # fmt: skip
def pa_da() -> None:
    """At tau = 0.5 the expected draws are half uniform and half by the gradient norm."""
    norms = np.linalg.norm(probabilities() - np.eye(10)[digits()[1]], axis=1)
    sampler = samplers.ImportanceSampler(
        N, num_samples=100 * N, floor=0.5, independent=True, objective="sampled"
    )
    sampler.record(np.arange(N), norms)
    sampler.set_epoch(1)
    chances = np.bincount(sampler.indices(1), minlength=N) / (100 * N)
    expected = 0.5 * norms / norms.sum() + 0.5 / N
    must(np.abs(chances - expected).sum() < 0.1, np.abs(chances - expected).sum())


@system(
    "dynamic 8a", "Selective-Backprop", "Jiang et al., 2019", "batch_selection.SelectiveBackprop"
)
def selective_backprop() -> None:
    """A half of each batch of digits, whose mean loss is above that of the batch."""
    selector = batch_selection.SelectiveBackprop(keep=0.5)
    parts = np.split(losses()[:1792], 14)
    kept = [each[selector.select(tensor(each)).rows] for each in parts]
    must(all(len(each) == 64 for each in kept))
    must(np.mean(kept) > losses().mean(), np.mean(kept))


@system("dynamic 8b", "OHEM", "Shrivastava, Gupta, Girshick, CVPR 2016", "batch_selection.TopKLoss")
def ohem() -> None:
    """The 32 largest of 128 losses."""
    part = losses()[:128]
    rows = batch_selection.TopKLoss(keep=32).select(tensor(part)).rows
    must(set(rows.tolist()) == set(np.argsort(part)[-32:].tolist()))


@system("dynamic 9", "RHO-LOSS", "Mindermann et al., ICML 2022", "batch_selection.RHOLoss")
def rho_loss() -> None:
    """The largest losses minus irreducible losses."""
    part = losses()[:320]
    irreducible = part[::-1].copy()
    chosen = batch_selection.RHOLoss(irreducible, keep=32).select(
        tensor(part), indices=list(range(320))
    )
    near(np.sort((part - irreducible)[chosen.rows]), np.sort(part - irreducible)[-32:])


@system(
    "dynamic 10a", "Importance sampling by a gradient bound", "Katharopoulos, Fleuret, ICML 2018",
    "samplers.ImportanceSampler, scores.gradient_norm_bound",
)  # fmt: skip
def importance() -> None:
    """Weights undo the draws: the weighted mean loss of an epoch is that of all, within 3 %."""
    sampler = samplers.ImportanceSampler(N, num_samples=20 * N, objective="original")
    bound = scores.gradient_norm_bound(tensor(logits()), torch.tensor(digits()[1]))
    sampler.record(np.arange(N), bound)
    sampler.set_epoch(1)
    drawn = sampler.indices(1)
    estimate = (sampler.weights_for(drawn) * losses()[drawn]).mean()
    must(abs(estimate / losses().mean() - 1) < 0.03, estimate)


@system(
    "dynamic 10b", "Online batch selection", "Loshchilov, Hutter, 2016",
    "batch_selection.RankedBatch",
)  # fmt: skip
def online_batch_selection() -> None:
    """The selection pressure decreases from 100 to 1."""
    selector = batch_selection.RankedBatch(num_epochs=3)
    found = []
    for epoch in range(3):
        selector.set_epoch(epoch)
        must(len(selector.select(tensor(losses()[:128])).rows) == 64)
        found.append(selector.pressure)
    near(found, [100, 10, 1])


@system(
    "dynamic 11a", "Feasible Learning", "Ramirez et al., 2025",
    "weighting.feasible, weighting.Duals",
)  # fmt: skip
def feasible() -> None:
    """A multiplier grows by the step times the loss above the bound, and not below it."""
    duals = weighting.Duals(3)
    weighting.feasible(tensor([2.0, 0.5]), indices=[2, 0], state=duals, bound=1.0, step_size=0.5)
    near(duals.values, [0, 0, 0.5])


@system(
    "dynamic 11b", "CVaR, extremile, ESRM", "Mehta et al., ICLR 2024",
    "weighting.cvar, weighting.extremile, weighting.esrm",
    "the variance reduction of Prospect, which stores gradients",
)  # fmt: skip
def spectra() -> None:
    """CVaR at 1/2 is the mean of the worse half; extremile 2 weighs ranks (2 i - 1) / n."""
    part = tensor([4.0, 1.0, 3.0, 2.0])
    near(weighting.cvar(part, level=0.5), [2, 0, 2, 0])
    near(weighting.extremile(part, order=2.0), [1.75, 0.25, 1.25, 0.75])
    near(weighting.esrm(tensor([2.0, 1.0]), aversion=math.log(4)), [4 / 3, 2 / 3])


@system("dynamic 11c", "KL-DRO", "", "weighting.kl_dro")
def kl_dro() -> None:
    """Weights in proportion to exp(loss)."""
    found = weighting.kl_dro(tensor(losses()), temperature=1.0)
    expected = np.exp(losses() - losses().max())
    near(found, expected / expected.mean(), 1e-2)


@system("dynamic 11d", "Group DRO", "Sagawa et al., ICLR 2020", "weighting.group_dro")
def group_dro() -> None:
    """Batches of one group move the weights from 1/2, 1/2 to 1, 0."""
    state = weighting.GroupWeights(2)
    for _ in range(300):
        weighting.group_dro(
            torch.ones(4), groups=torch.zeros(4, dtype=int), state=state, step_size=0.1
        )
    near(state.values, [1, 0], 1e-3)


@system(
    "dynamic 12a", "Training curricula for answer re-ranking", "MacAvaney et al., SIGIR 2020",
    "weighting.CurriculumWeights, weighting.pairwise_easiness",
)  # fmt: skip
def curriculum_weights() -> None:
    """Epoch 1 of 4: weights (1 - t) D + t; 1 from epoch 4 on."""
    near(weighting.pairwise_easiness([1.0, 0.5], [[0.0, 0.5], [0.5, 1.0]]), [0.75, 0.25])
    weights = weighting.CurriculumWeights([1.0, 0.5, 0.0], num_epochs=4)
    for epoch, expected in ((1, [1, 0.625, 0.25]), (4, [1, 1, 1])):
        weights.set_epoch(epoch)
        near(weights(torch.ones(3), indices=[0, 1, 2]), expected)


@system(
    "dynamic 12b", "Momentum difficulty", "after arXiv:2404.01579, 2024",
    "weighting.MomentumDifficulty",
    "the formula of the paper, which could not be read",
)  # fmt: skip
def momentum_difficulty() -> None:
    """Label probabilities 0.9 and 0.7 weigh 1 to 3 an epoch later."""
    weights = weighting.MomentumDifficulty(3, momentum=0.5)
    part = -torch.log(tensor([0.9, 0.7]))
    weights(part, indices=[0, 2])
    weights.set_epoch(1)
    near(weights(part, indices=[0, 2]), [0.5, 1.5], 1e-5)


@system(
    "dynamic 12c", "Self-paced learning", "Kumar, Packer, Koller, 2010",
    "samplers.SelfPacedSampler, weighting.self_paced",
)  # fmt: skip
def self_paced() -> None:
    """The easiest half of the digits; linear weights 1 - loss / threshold."""
    drawn = after_one_epoch(samplers.SelfPacedSampler(N, num_epochs=8, start=0.5))
    must(losses()[drawn].max() <= np.delete(losses(), drawn).min() + 1e-6)
    linear = weighting.self_paced(tensor([4.0, 1.0, 3.0, 2.0]), threshold=4.0, form="linear")
    near(linear, [0, 2, 2 / 3, 4 / 3])


@system(
    "dynamic 12d", "Competence-based curriculum", "Platanios et al., NAACL 2019",
    "samplers.CurriculumSampler",
)  # fmt: skip
def competence() -> None:
    """An epoch draws only from the share of the easiest that its competence allows."""
    order = np.argsort(np.argsort(losses()))
    sampler = samplers.CurriculumSampler(
        losses(), num_epochs=8, pacing="linear", c0=0.25, full_at=0.75, grow="epoch"
    )
    reached = [order[sampler.indices(epoch)].max() for epoch in range(8)]
    must(reached[0] <= 0.26 * N and reached[-1] == N - 1 and sorted(reached) == reached, reached)


@system(
    "dynamic 13", "AdAdaGrad", "Lau, Liu, Kolar, 2024",
    "training.suggest_batch_size, samplers.AdaptiveBatchSampler",
)  # fmt: skip
def adadagrad() -> None:
    """Norm test: (4/3) / (0.01 * 9) = 14.8, so 15, the size of the next batch."""
    size = training.suggest_batch_size(
        tensor([[2.0], [4.0], [2.0], [4.0]]), eta=0.1, max_batch_size=64
    )
    batches = samplers.AdaptiveBatchSampler(samplers.ShuffleSampler(N), batch_size=4)
    found = iter(batches)
    next(found)
    batches.set_batch_size(size)
    must(size == 15 and len(next(found)) == 15, size)


@system("dynamic 14", "TLDR", "Jiang et al., 2020", "weighting.tldr")
def tldr() -> None:
    """Weights 1 + cos(pi p): 2 at p = 0, 1 at 1/2, 0 at 1."""
    found = weighting.tldr(-torch.log(tensor([[1e-9, 0.5, 1.0]])))
    near(found, [[2, 1, 0]], 1e-5)


@system(
    "dynamic 15 (a)", "Accelerating by dynamic pruning", "Raju, Daruwalla, Lipasti, 2021",
    "samplers.EpsilonGreedySampler, samplers.UCBSampler",
)  # fmt: skip
def raju() -> None:
    """Epsilon-greedy: the top 90 % of the budget is drawn; UCB: exactly the budget."""
    sampler = samplers.EpsilonGreedySampler(N, num_epochs=8, keep=0.5, epsilon=0.1)
    drawn = after_one_epoch(sampler)
    must(np.isin(np.argsort(losses())[-800:], drawn).all() and len(drawn) == round(N / 2))
    ucb = samplers.UCBSampler(N, num_epochs=8, keep=0.5, refresh_every=1)
    must(len(after_one_epoch(ucb)) == round(N / 2))


@system(
    "dynamic 15 (b)", "IES, instance-dependent early stopping", "Yuan et al., ICLR 2025",
    "samplers.IESSampler",
)  # fmt: skip
def ies() -> None:
    """Losses on a straight line have converged after 6 epochs, an alternating one has not."""
    sampler = samplers.IESSampler(3, num_epochs=20, delta=0.1)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        sampler.record(range(3), np.array([2.0, 3 - 0.5 * epoch, epoch % 2]))
    sampler.set_epoch(6)
    must(sampler.hidden.tolist() == [0, 1], sampler.hidden)


@system("dynamic 15 (c)", "KAKURENBO", "Nguyen et al., NeurIPS 2023", "samplers.KakurenboSampler")
def kakurenbo() -> None:
    """All excluded digits are predicted rightly with a confidence of at least 0.7."""
    _, y = digits()
    sampler = samplers.KakurenboSampler(N, num_epochs=8, keep=0.7)
    after_one_epoch(sampler, logits=tensor(logits()), labels=torch.tensor(y))
    hidden = sampler.hidden
    must(0 < len(hidden) <= 0.3 * N, len(hidden))
    must((probabilities()[hidden, y[hidden]] >= 0.7 - 1e-5).all())


@system("dynamic 15 (d)", "SeTa", "Zhou, Gao, Wang, CVPR 2025", "samplers.SeTaSampler")
def seta() -> None:
    """Without random drops, an interval of the losses that grows no hole."""
    sampler = samplers.SeTaSampler(N, num_epochs=8, drop_prob=0, num_groups=5, scale=0.6)
    drawn = after_one_epoch(sampler)
    left = np.delete(losses(), drawn)
    kept = losses()[drawn]
    must(len(drawn) < N and ((left <= kept.min() + 1e-6) | (left >= kept.max() - 1e-6)).all())


@system("dynamic 15 (e), coreset 14o", "TDDS", "Zhang et al., CVPR 2024", "scores.TrainingDynamics")
def tdds() -> None:
    """Equal probabilities in all epochs score 0; those that change score more."""
    dynamics = scores.TrainingDynamics(2, num_classes=2, fields="tdds", window=5)
    for epoch in range(10):
        dynamics.update([0, 1], [[1.0, 0.0], [epoch % 3 - 1.0, 0.0]], [0, 0])
    found = dynamics.tdds().values
    must(found[0] == 0 and found[1] > 0, found)


@system(
    "dynamic 15 (f), coreset 14p", "Dyn-Unc and DUAL",
    "He et al., CVPR-W 2024; Cho et al., ICML 2025",
    "scores.TrainingDynamics, selection.beta",
)  # fmt: skip
def dyn_unc() -> None:
    """Standard deviation of the label's probability in a window; DUAL is std (1 - mean)."""
    dynamics = scores.TrainingDynamics(1, num_classes=2, fields=("dyn_unc", "dual"), window=2)
    for p in (0.2, 0.4):
        dynamics.update([0], [[math.log(p / (1 - p)), 0.0]], [0])
    near(dynamics.dyn_unc().values, [0.1 * math.sqrt(2)], 1e-5)
    near(dynamics.dual().values, [0.1 * math.sqrt(2) * 0.7], 1e-5)


@system(
    "dynamic 15 (g)", "Dynamic random (soft random)", "control of InfoBatch's reviewers",
    "samplers.DynamicRandomSampler",
)  # fmt: skip
def dynamic_random() -> None:
    """The same number of samples as InfoBatch's schedule, another subset in each epoch."""
    sampler = samplers.DynamicRandomSampler(N, num_epochs=10, drop_prob=0.3)
    one, two = sampler.indices(1), sampler.indices(2)
    must(len(one) == len(two) and abs(len(one) - 0.7 * N) < 1 and set(one) != set(two), len(one))


@system("dynamic 15b", "RCAP", "Hassan, Khare, Paik, UAI 2025", "samplers.RCAPSampler")
def rcap() -> None:
    """An exact number; classes in proportion to sqrt of their losses times their sizes."""
    labels = ["a"] * 4 + ["b"] * 4
    sampler = samplers.RCAPSampler(8, num_epochs=8, labels=labels, keep=0.625, beta=0.01)
    sampler.record(range(8), np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.3, 0.5, 0.4]))
    sampler.set_epoch(1)
    drawn = np.sort(sampler.indices(1))
    must(len(drawn) == 5 and drawn[2:].tolist() == [4, 6, 7], drawn)


not_built(
    "dynamic 15 (h to k)", "GDeR, DivBS, GREATS, EfficientTrain, Co-teaching, Scan, DIHCL", "",
    "named on the card without formulas",
)  # fmt: skip
