"""Systems of the cards on balance: classes, domains, pairs, noisy labels, labels, targets."""

# ruff: noqa: D401  # the docstring of a system says what is checked

import math

import numpy as np
import torch
from systems_shared import digits, logits, long_tail, losses, must, near, not_built, system, tensor

from sampling import (
    batch_selection,
    clustering,
    labeling,
    samplers,
    scores,
    selection,
    weighting,
)

N = 1797
SIZES = [500, 50, 5]


def shares(sampler: object, labels: np.ndarray, epoch: int = 0) -> np.ndarray:
    """Return the share of each class among the draws of an epoch."""
    drawn = labels[sampler.indices(epoch)]  # type: ignore[attr-defined]
    return np.bincount(drawn, minlength=labels.max() + 1) / len(drawn)


@system("balance 1.1", "Power-law class sampling", "Kang et al., ICLR 2020",
        "samplers.ClassBalancedSampler")  # fmt: skip
def power_law() -> None:
    """Golden shares of classes of 500, 50, 5: q = 1, 1/2 and 0."""
    labels = long_tail()
    for power, golden in (
        (1.0, [0.900901, 0.090090, 0.009009]), (0.5, [0.706101, 0.223289, 0.070610]),
        (0.0, [1 / 3] * 3),
    ):  # fmt: skip
        near(
            shares(samplers.ClassBalancedSampler(labels, 10**5, power=power), labels), golden, 1e-4
        )


@system("balance 1.2", "Progressively-balanced sampling", "Kang et al., ICLR 2020",
        "samplers.ClassBalancedSampler")  # fmt: skip
def progressive() -> None:
    """Golden shares halfway, at lambda = 1/2."""
    labels = long_tail()
    sampler = samplers.ClassBalancedSampler(labels, 10**5, progressive_epochs=3)
    near(shares(sampler, labels, 1), [0.617117, 0.211712, 0.171171], 1e-4)


@system("balance 1.3", "Effective number of samples", "Cui et al., CVPR 2019",
        "weighting.ClassWeights, samplers.ClassBalancedSampler")  # fmt: skip
def effective_number() -> None:
    """Golden weights at beta = 0.99 and 0.999, and the mass of classes as a sampler."""
    near(weighting.ClassWeights(SIZES, beta=0.99).values, [0.126130, 0.317223, 2.556647], 1e-5)
    near(weighting.ClassWeights(SIZES, beta=0.999).values, [0.034111, 0.275169, 2.690720], 1e-5)
    labels = long_tail()
    sampler = samplers.ClassBalancedSampler(labels, 10**5, beta=0.999)
    near(shares(sampler, labels), [0.385280, 0.310803, 0.303916], 1e-4)


@system("balance 1.4", "Class-aware (cyclic) sampling", "code of Kang et al., ICLR 2020",
        "samplers.ClassBalancedSampler")  # fmt: skip
def class_aware() -> None:
    """Over 3 epochs each sample of a class is drawn equally often, up to one."""
    labels = long_tail()
    sampler = samplers.ClassBalancedSampler(labels)
    counts = np.bincount(np.concatenate([sampler.indices(e) for e in range(3)]), minlength=555)
    must(all(np.ptp(counts[labels == each]) <= 1 for each in range(3)))


@system("balance 1.5", "M-per-class (P x K) batches", "pytorch-metric-learning",
        "samplers.ClassesPerBatchSampler")  # fmt: skip
def classes_per_batch() -> None:
    """Each batch has 5 digits, 4 of each; an epoch has every sample."""
    _, y = digits()
    drawn = list(samplers.ClassesPerBatchSampler(y, classes_per_batch=5, samples_per_class=4))
    must(all(np.unique(y[each], return_counts=True)[1].tolist() == [4] * 5 for each in drawn))
    must(len({row for batch in drawn for row in batch}) == N)


@system("balance 1.6", "Repeat-factor sampling", "Gupta, Dollar, Girshick, CVPR 2019",
        "samplers.RepeatFactorSampler")  # fmt: skip
def repeat_factor() -> None:
    """Golden factors of 10 images at t = 1/2: 1, 1.290994, 2.236068; 12 or 13 draws."""
    labels = np.array([[1, 0, 0]] * 6 + [[1, 1, 0]] * 3 + [[0, 0, 1]])
    sampler = samplers.RepeatFactorSampler(labels, threshold=0.5)
    near(sampler.repeat_factors, [1] * 6 + [1.290994] * 3 + [2.236068], 1e-5)
    must(len(sampler) in (12, 13), len(sampler))


@system("balance 1.7", "Distribution-balanced multi-label weights", "Wu et al., ECCV 2020",
        "weighting.ClassWeights")  # fmt: skip
def multi_label() -> None:
    """R = 1/n_c over the sum of 1/n of the sample's labels; weight 0.1 + sigmoid(10 (r - 0.2))."""
    found = weighting.ClassWeights([100, 10, 5]).rebalanced(torch.tensor([[1, 1, 0]]))
    ratio = np.array([0.01, 0.1, 0.2]) / 0.11
    near(found, [0.1 + 1 / (1 + np.exp(-10 * (ratio - 0.2)))], 1e-5)


@system("balance 1.8", "Deferred re-weighting", "Cao et al., NeurIPS 2019",
        "weighting.deferred, weighting.ClassWeights")  # fmt: skip
def deferred() -> None:
    """Weights 1 before epoch 2, then those of the classes."""
    weights = weighting.deferred(weighting.ClassWeights([90, 10]), start=2)
    for epoch, expected in ((1, [1, 1]), (2, [0.2, 1.8])):
        weights.set_epoch(epoch)
        near(weights(torch.ones(2), labels=torch.tensor([0, 1])), expected)


@system("balance 1.8, beyond the cards", "Logit adjustment, balanced softmax",
        "Menon et al., 2021; Ren et al., 2020",
        "weighting.logit_adjustment, weighting.balanced_softmax")  # fmt: skip
def logit_adjustment() -> None:
    """Equal logits become the class shares; as a loss the two are one."""
    counts = [90, 10]
    adjusted = weighting.logit_adjustment(tensor([[1.0, 1.0]]), counts)
    near(adjusted.softmax(1), [[0.9, 0.1]])
    loss = torch.nn.functional.cross_entropy(adjusted, torch.tensor([1]), reduction="none")
    near(weighting.balanced_softmax(tensor([[1.0, 1.0]]), torch.tensor([1]), counts), loss, 1e-5)


@system("balance 1.9", "Binned balancing for regression", "after Yang et al., ICML 2021",
        "weighting.target_density_weights")  # fmt: skip
def target_density() -> None:
    """Two bins of 3 and 1, inverse density: weights 2/3 and 2, mean 1."""
    found = weighting.target_density_weights([0.0, 0, 0, 9], bins=2, smoothing=0, power=1)
    near(found, [2 / 3] * 3 + [2])


@system("balance 2.1", "Upsample or Upweight", "Li et al., NAACL 2025",
        "samplers.temperature_weights, samplers.MixtureSampler, weighting.upweight")  # fmt: skip
def temperature() -> None:
    """Golden shares of 2733, 162, 39, 1 at tau = 3.33 and 5; weights times sizes are the same."""
    sizes = [2733, 162, 39, 1]
    golden = [0.555540, 0.237799, 0.155056, 0.051605]
    near(samplers.temperature_weights(sizes, 3.33), golden, 1e-6)
    near(samplers.temperature_weights(sizes, 5.0), [0.454302, 0.258178, 0.194191, 0.093329], 1e-6)
    domains = np.repeat(range(4), sizes)
    sampler = samplers.MixtureSampler(sizes, 10**5, temperature=3.33)
    near(np.bincount(domains[sampler.indices(0)]) / 10**5, golden, 1e-4)
    weights = weighting.upweight(domains, temperature=3.33).values
    near(np.bincount(domains, weights) / len(domains), golden, 1e-5)


@system("balance 2.2", "Cooldown", "Li et al., NAACL 2025", "samplers.MixtureSampler")
def cooldown() -> None:
    """Tau = 5 in epochs 0 and 1, then 1: the shares of the sizes."""
    sizes = [800, 200]
    sampler = samplers.MixtureSampler(sizes, 1000, phases=[(0, 5.0), (2, 1.0)], num_epochs=4)
    near(sampler.quotas(0) / 1000, samplers.temperature_weights(sizes, 5.0), 1e-3)
    near(sampler.quotas(3) / 1000, [0.8, 0.2], 1e-3)


@system("balance 2.3", "UniMax", "Chung et al., ICLR 2023",
        "selection.unimax, samplers.MixtureSampler")  # fmt: skip
def unimax() -> None:
    """Golden amounts for budgets of 600 and 6,000 and 4 epochs; the sampler has the same."""
    near(selection.unimax([10, 100, 1000], 600, max_epochs=4).amounts, [40, 280, 280])
    plan = selection.unimax([10, 100, 1000], 6000, max_epochs=4)
    near([*plan.amounts, plan.shortfall], [40, 400, 4000, 1560])
    sampler = samplers.MixtureSampler(
        [10, 100, 1000], 600, weights="unimax", max_repeats=4, num_epochs=1
    )
    near(sampler.quotas(0), [40, 280, 280], 1)


@system("balance 2.4", "Order Matters", "", "samplers.MixtureSampler")
def order_matters() -> None:
    """No draw of the small source in the first phase, half of them in the second."""
    sampler = samplers.MixtureSampler(
        [800, 200], 1000, phases=[(0, [1.0, 0.0]), (1, [0.5, 0.5])], num_epochs=2
    )
    near([sampler.quotas(0), sampler.quotas(1)], [[1000, 0], [500, 500]])


@system("balance 3.1", "ODM", "Albalak et al., 2023", "samplers.ODM")
def odm() -> None:
    """Exploration 1/4, rewards 8 and 0: 1/4 each, the rest in the ratio exp(2) to 1."""
    rule = samplers.ODM(exploration=0.25, decay=0.0, importance=False, floor=0.0)
    state = rule.step(rule.begin(np.array([0.5, 0.5])), np.array([8.0, 0.0]))
    near(state["weights"][0], 0.25 + 0.5 * math.exp(2) / (1 + math.exp(2)))


@system("balance 3.2", "DoReMi", "Xie et al., NeurIPS 2023", "samplers.DoReMi")
def doremi() -> None:
    """Excess log 3 and 0: weights 3/4 and 1/4."""
    rule = samplers.DoReMi(floor=0.0)
    state = rule.step(rule.begin(np.array([0.5, 0.5])), np.array([math.log(3), 0.0]))
    near(state["weights"], [0.75, 0.25])


@system("balance 3.3", "Skill-It", "Chen et al., NeurIPS 2023",
        "samplers.SkillIt, samplers.skill_graph")  # fmt: skip
def skill_it() -> None:
    """Weights in proportion to exp(A S), S the losses."""
    rule = samplers.SkillIt([[1, 0], [1, 1]], window=1, step_size=1.0, normalize=False, floor=0)
    state = rule.step(rule.begin(np.array([0.5, 0.5])), validation_losses=np.array([1.0, 0.5]))
    near(state["weights"], np.exp([1, 1.5]) / np.exp([1, 1.5]).sum())
    near(samplers.skill_graph([2.0, 4.0], [[1.0, 4.0], [2.5, 3.0]]), [[0.5, 0], [0, 0.25]])


@system("balance 3.4", "Aioli", "Chen, Hu et al., ICLR 2025", "samplers.Aioli")
def aioli() -> None:
    """One probe of each source: the one that reduced the sum of the losses twice as much gains."""
    rule = samplers.Aioli(rounds=1, hold=1, probe_share=1.0, step_size=1.0)
    state = rule.begin(np.array([0.5, 0.5]))
    for loss in ([4.0, 4.0], [3.0, 4.0], [3.0, 3.5]):
        state = rule.step(state, validation_losses=np.array(loss))
    near(state["mixture"], [0.583, 0.417], 1e-3)


not_built(
    "balance 3.5",
    "DoGE",
    "Fan, Pagliardini, Jaggi, ICML 2024",
    "needs gradients per domain; `samplers.MixtureUpdater` takes a rule of one's own",
)
not_built("balance 3.6", "Data Mixing Agent", "Yang et al., 2025",
          "needs an agent trained on many runs")  # fmt: skip


@system("balance 3.7, beyond the cards", "RegMix, mixture regression", "Liu et al., 2024",
        "samplers.random_mixtures, samplers.mixture_regression")  # fmt: skip
def mixture_regression() -> None:
    """A known optimum of 0.3 is proposed, with an error below that of the mean."""
    mixtures = samplers.random_mixtures([0.5, 0.5], 40)
    fit = samplers.mixture_regression(mixtures, (mixtures[:, 0] - 0.3) ** 2)
    must(abs(fit.weights[0] - 0.3) < 0.1 and fit.error < fit.baseline_error, fit.weights)


@system("balance 4.1", "SMOTE, by imbalanced-learn", "Chawla et al., JAIR 2002",
        "samplers.ClassBalancedSampler")  # fmt: skip
def smote() -> None:
    """By imbalanced-learn, as on the page on pairs: rows between neighbours, next to our draws."""
    from imblearn.over_sampling import SMOTE

    x, y = digits()
    rows = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:20]])
    made, labels = SMOTE(random_state=0).fit_resample(x[rows], y[rows])
    must(np.bincount(labels).tolist() == [178, 178] and len(made) == 356)
    drawn = samplers.ClassBalancedSampler(labels, seed=0).indices(0)
    must(np.bincount(labels[drawn]).tolist() == [178, 178])


not_built("balance 4.2", "Minority interpolation in embedding space", "",
          "imbalanced-learn does it; `clustering.neighbours` has the partners")  # fmt: skip


@system("balance 4.3", "Selective mixup, LISA", "Teney et al., ICML 2024; Yao et al., ICML 2022",
        "samplers.PairBatchSampler")  # fmt: skip
def selective_mixup() -> None:
    """Golden class shares of cross-class pairs of 90, 8, 2, and of the control without mixing."""
    labels = np.repeat([0, 1, 2], [90, 8, 2])
    batches = samplers.PairBatchSampler(labels, 50)
    near(batches.class_shares, [0.498314, 0.400816, 0.100870], 1e-5)
    by_class = samplers.PairBatchSampler(labels, 50, pick="class")
    near(by_class.class_shares, [0.475, 0.270, 0.255], 1e-6)
    first, second = labels[np.array(next(iter(batches)))].reshape(2, -1)
    must((first != second).all())
    drawn = labels[batches.resample_equivalent().indices(0)]
    near(np.bincount(drawn) / len(drawn), batches.class_shares, 0.02)


@system("balance 4.4", "SelMix", "Ramasubramanian et al., ICLR 2024",
        "samplers.selmix_pairs, samplers.ClassPairBatchSampler")  # fmt: skip
def selmix() -> None:
    """Class 1 is predicted as class 0: more pairs are labelled 1, and drawn in those shares."""
    pairs = samplers.selmix_pairs([[9, 1], [6, 4]], np.eye(2), np.eye(2))
    near(pairs.sum(), 1)
    must(pairs.sum(1)[1] > 0.6, pairs)
    labels = np.array([0] * 50 + [1] * 50)
    batches = np.array(list(samplers.ClassPairBatchSampler(labels, pairs, 20, 100)))
    first, second = labels[batches.reshape(-1, 2, 20).transpose(1, 0, 2).reshape(2, -1)]
    near(np.bincount(2 * first + second, minlength=4) / 100, pairs.ravel(), 0.02)


@system("balance 4.5", "RegMix, mixing for regression", "",
        "samplers.NeighborPairBatchSampler, clustering.neighbours")  # fmt: skip
def regmix() -> None:
    """The partner of each digit is one of its 5 nearest."""
    x, _ = digits()
    table = clustering.neighbours(x, 5).indices
    batches = samplers.NeighborPairBatchSampler(table, 50)
    for batch in batches:
        first, second = np.array(batch).reshape(2, -1)
        must((table[first] == second[:, None]).any(1).all())


@system("balance 5.1", "RENT", "Bae et al., ICLR 2024", "weighting.RENTWeights")
def rent() -> None:
    """Golden weights of f = 0.7, 0.2, 0.1 under symmetric noise of 0.2."""
    weights = weighting.RENTWeights(weighting.symmetric_transition(3, 0.2))
    rows = torch.tensor([[0.7, 0.2, 0.1]] * 3).log()
    found = weights.transition_weights(torch.ones(3), labels=[0, 1, 2], logits=rows)
    near(found, [1.186441, 0.833333, 0.588235], 1e-5)
    near(weights(torch.ones(3), labels=[0, 1, 2], logits=rows).mean(), 1)


@system("balance 5.2", "DWS", "Bae et al., ICLR 2024", "weighting.DirichletWeights")
def dirichlet() -> None:
    """As alpha grows, plain weights by the transition matrix."""
    weights = weighting.DirichletWeights(weighting.symmetric_transition(3, 0.2), alpha=1e9)
    rows = torch.tensor([[0.7, 0.2, 0.1]] * 3).log()
    golden = np.array([1.186441, 0.833333, 0.588235])
    near(weights(torch.ones(3), labels=[0, 1, 2], logits=rows), golden / golden.mean(), 1e-3)


not_built("balance 6.1", "RCAL", "Zhang et al., ICCV 2023", "a pipeline of outliers and Gaussians")


@system("balance 6.2", "STAMP memory", "Yu et al., ECCV 2024",
        "batch_selection.ClassBalancedMemory")  # fmt: skip
def stamp_memory() -> None:
    """Only certain rows of the class of the reference are stored; weights of mean 1."""
    chances = tensor(4 * logits()).softmax(1)
    reference = torch.from_numpy(digits()[1])
    memory = batch_selection.ClassBalancedMemory(64, 10, count="ema")
    for rows in torch.arange(N).split(64):
        memory.add(chances[rows], rows, reference=reference[rows])
    must(len(memory) == 64 and (memory.entropies < 0.5 * math.log(10)).all())
    must((memory.classes == digits()[1][memory.indices]).all() and memory.num_disagreeing > 0)
    near(memory.weights(tensor(memory.entropies)).mean(), 1, 1e-4)


@system("balance 6.3", "RoTTA memory", "Yuan, Xie, Li, CVPR 2023",
        "batch_selection.ClassBalancedMemory")  # fmt: skip
def rotta_memory() -> None:
    """Of a stream sorted by class, 1 to 7 of each class in 64 slots; weights by age."""
    order = np.argsort(digits()[1], kind="stable")
    chances = tensor(4 * logits()[order]).softmax(1)
    memory = batch_selection.ClassBalancedMemory(64, 10, evict="score")
    for rows in torch.arange(N).split(64):
        memory.add(chances[rows], rows)
    sizes = memory.class_counts
    must(len(memory) == 64 and sizes.min() >= 1 and sizes.max() <= 7, sizes)
    near(memory.weights(), 1 / (1 + np.exp(memory.ages / 64)), 1e-4)


@system("balance 6.4", "EATA filter", "Niu et al., ICML 2022", "batch_selection.EATAFilter")
def eata() -> None:
    """Of the digits only rows of entropy below 0.4 log 10, weighted exp(0.4 log 10 - entropy)."""
    entropy = scores.entropy(logits()).values
    chosen = batch_selection.EATAFilter(epsilon=1.0).select(
        tensor(entropy), logits=tensor(logits()), scored=False
    )
    must((entropy[chosen.rows] < 0.4 * math.log(10)).all() and len(chosen.rows) > 0)
    near(chosen.weights, np.exp(0.4 * math.log(10) - entropy[chosen.rows]), 1e-3)


@system("balance 6.5", "Confidence-difference filter", "Lee et al., ICCV 2023",
        "batch_selection.ConfidenceFilter")  # fmt: skip
def confidence_filter() -> None:
    """A row that has become less confident is not kept."""
    before, now = tensor([[2.0, 0], [2.0, 0]]), tensor([[3.0, 0], [1.0, 0]])
    filtering = batch_selection.ConfidenceFilter()
    must(filtering.select(torch.ones(2), logits=now, features=before).rows.tolist() == [0])


@system("balance 7.1", "TiDAL, its running probability", "Kye et al., ICCV 2023",
        "scores.TrainingDynamics, scores.entropy, scores.margin",
        "the module that predicts it for unlabelled samples")  # fmt: skip
def tidal() -> None:
    """The mean over epochs of the probabilities of every class."""
    dynamics = scores.TrainingDynamics(1, num_classes=2, fields="probabilities")
    for p in (0.2, 0.6):
        dynamics.update([0], [[math.log(p / (1 - p)), 0.0]], [0])
    near(dynamics.probabilities(), [[0.4, 0.6]], 1e-5)


@system("balance 7.2", "Active testing, LURE", "Kossen et al., ICML 2021; Farquhar et al., 2021",
                "labeling.Acquisition, labeling.expected_loss")  # fmt: skip
def lure() -> None:
    """Golden weights; the mean of 100 estimates from 40 labels is the loss of all, within 10 %."""
    acquisition = labeling.Acquisition(4)
    acquisition.draw([1.0, 1.0, 1.0, 1.0], count=2)
    near(acquisition.weights(), [1, 1])
    truth, found = losses()[:400], []
    for seed in range(100):
        acquisition = labeling.Acquisition(400, seed=seed)
        rows = acquisition.draw(truth + 0.1, count=40)
        found.append(acquisition.estimate(truth[rows]).value)
    must(abs(np.mean(found) / truth.mean() - 1) < 0.1, np.mean(found))


not_built("balance 7.3", "Failure-pattern identification", "",
          "a Gaussian process of labels; its conditional DPP is `selection.k_dpp` with "
          "`already_selected`")  # fmt: skip


@system("balance 7.4", "k-DPP", "Kulesza, Taskar, 2012", "selection.k_dpp")
def k_dpp() -> None:
    """Over 1,500 draws of 2 of 4 rows, pairs as often as their determinants, within 5 points."""
    rows = np.array([[1.0, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]])
    kernel = rows @ rows.T
    expected = np.array([kernel[0, 0] - kernel[0, j] ** 2 for j in (1, 2, 3)])
    counts = np.zeros((4, 4))
    for seed in range(1500):
        counts[tuple(np.sort(selection.k_dpp(rows, 2, seed=seed).indices))] += 1
    near(counts[0, 1:] / counts[0, 1:].sum(), expected / expected.sum(), 0.06)


not_built(
    "balance 7.5",
    "L1-A-MTRL",
    "",
    "a Lasso over task heads, then counts for `samplers.MixtureSampler(weights=)`",
)
not_built("balance 7.6", "Learning to Actively Learn", "", "a learnt policy, no tool")


@system("balance 8", "Equitable group allocation", "Cai et al., FAccT 2023",
        "labeling.allocate, labeling.fit_curve")  # fmt: skip
def equitable() -> None:
    """Golden split of 1,000 for b = 1, 2, k = 1/2: 386.5, 613.5; the fitted curves are exact."""
    curves = {
        "a": labeling.LearningCurve(0.0, 1.0, 0.5), "b": labeling.LearningCurve(0.0, 2.0, 0.5)
    }  # fmt: skip
    near(labeling.allocate(curves, 1000).counts, [386.488, 613.512], 1)
    sizes = [100, 200, 400, 800, 1600]
    curve = labeling.fit_curve(sizes, [0.05 + 3.0 * n**-0.5 for n in sizes])
    near([curve.floor, curve.scale, curve.exponent], [0.05, 3, 0.5], 1e-2)


@system("balance 9", "Trajectory weighting for offline RL", "Hong et al., ICLR 2023",
        "samplers.TrajectorySampler")  # fmt: skip
def trajectories() -> None:
    """Golden masses of returns 0, 5, 10 and lengths 10, 10, 20 at alpha = 0.1."""
    sampler = samplers.TrajectorySampler([10, 10, 20], [0.0, 5.0, 10.0], alpha=0.1)
    near(sampler.masses, [0.000023, 0.003358, 0.996620], 1e-6)
    near(sampler.effective_size, 20.135, 1e-3)


not_built("balance 10.2", "Fix your Models by Fixing your Datasets", "",
          "a tool; `scores.label_issues` and the selectors are its two steps")  # fmt: skip
not_built("balance 10.3, coreset 13", "InfFeed", "", "changes labels, which a sampler does not")
not_built("balance 11.1", "ASR", "", "a learnt policy of negatives")
not_built("balance 11.2", "Multi-Similarity mining", "Wang et al., CVPR 2019",
          "pytorch-metric-learning does it inside the step; the page on pairs runs it")  # fmt: skip


@system("balance 11.3", "PEG, its hard negatives", "PEG",
        "clustering.hard_negatives, samplers.NeighborPairBatchSampler",
        "training on batches of 80,000 negatives")  # fmt: skip
def peg() -> None:
    """The 5 nearest digits of another class of each digit, against all distances."""
    from sklearn.metrics import pairwise_distances

    x, y = digits()
    found = clustering.hard_negatives(x, y, 5)
    gaps = pairwise_distances(x.astype(float))
    gaps[y[:, None] == y] = np.inf
    near(np.sort(found.distances, axis=1), np.sort(gaps, axis=1)[:, :5], 1e-3)


not_built(
    "balance 12.1",
    "Ask2Mask",
    "",
    "frames are chosen in the model; a mean confidence is a `weighting.SampleWeights`",
)


@system("balance 12.2a", "Density ratio by a classifier", "after Huang et al., NeurIPS 2006",
        "weighting.density_ratio_weights, weighting.effective_sample_size")  # fmt: skip
def density_ratio() -> None:
    """For normals at 0 and 1 the logarithm of the weight has slope 1 (0.8 to 1.2), mean 1."""
    random = np.random.default_rng(0)
    source, target = random.standard_normal((2000, 1)), 1 + random.standard_normal((2000, 1))
    weights = weighting.density_ratio_weights(source, target, clip_quantile=1.0).values
    slope = np.polyfit(source[:, 0], np.log(weights), 1)[0]
    near(weights.mean(), 1, 1e-5)
    must(0.8 < slope < 1.2, slope)


def _slope(weights: np.ndarray, source: np.ndarray) -> float:
    """Return the slope of the logarithm of the weights over the middle of the source."""
    own = (np.abs(source[:, 0]) < 1.5) & (weights > 0)
    return float(np.polyfit(source[own, 0], np.log(weights[own]), 1)[0])


@system("balance 12.2b", "uLSIF", "Kanamori, Hido, Sugiyama, JMLR 2009",
        "weighting.ulsif_weights",
        "setting negative coefficients to 0: negative ratios are")  # fmt: skip
def ulsif() -> None:
    """For normals at 0 and 1 the logarithm of the weight has slope 1 (0.7 to 1.3), mean 1."""
    random = np.random.default_rng(0)
    source, target = random.standard_normal((2000, 1)), 1 + random.standard_normal((2000, 1))
    weights = weighting.ulsif_weights(source, target, clip_quantile=1.0).values
    near(weights.mean(), 1, 1e-5)
    must(0.7 < _slope(weights, source) < 1.3, _slope(weights, source))


@system("balance 12.2c to d", "KMM, double weighting",
        "Huang et al., NeurIPS 2006; Segovia-Martin, Mazuelas, Liu, ICML 2023",
        "weighting.kmm_weights, weighting.double_weights",
        "the choice of D by the minimax risk")  # fmt: skip
def matched_means() -> None:
    """Normals at 0 and 1: the weighted mean is 1 (0.8 to 1.2); a target far away is given up."""
    random = np.random.default_rng(0)
    source, target = random.standard_normal((2000, 1)), 1 + random.standard_normal((2000, 1))
    weights = weighting.kmm_weights(source, target, clip_quantile=1.0).values
    mean = float(np.average(source[:, 0], weights=weights))
    must(0.8 < mean < 1.2, mean)
    target[1800:] += 20
    _, kept = weighting.double_weights(source, target, relaxation=2.0)
    must(kept[:1800].mean() > 0.9 and kept[1800:].mean() < 0.5, kept[1800:].mean())


@system(
    "balance 12.3",
    "DSIR",
    "Xie et al., NeurIPS 2023",
    "selection.dsir_scores, selection.gumbel, selection.NgramCounts, selection.kl_reduction",
)
def dsir() -> None:
    """Of 400 texts on two subjects, 9 of 10 picks are of the target's."""
    random = np.random.default_rng(0)

    def texts(subject: str, count: int) -> list[str]:
        rows = random.integers(0, 40, (count, 30))
        return [" ".join(f"{subject}{each}" for each in row) for row in rows]

    raw = texts("sea", 200) + texts("tax", 200)
    found = selection.dsir_scores(raw, texts("tax", 50), min_tokens=10)
    picked = selection.gumbel(found, 50, on_bad="drop").indices
    must((picked >= 200).mean() >= 0.9, (picked >= 200).mean())


@system("balance 12.4", "TESAR-CDE, inverse intensity", "Vanderschueren et al., ICML 2023",
        "weighting.clipped_inverse")  # fmt: skip
def inverse_intensity() -> None:
    """Weights 1 / p, at most 1,000; a sum over those observed is unbiased, within 5 sigma."""
    near(weighting.clipped_inverse([0.5, 0.25, 0.0]).values, [2, 4, 1000], 1e-3)
    p = np.clip(losses(), 0.05, 1.0)
    observed = np.random.default_rng(0).random((200, N)) < p
    sums = observed @ weighting.clipped_inverse(p).values
    must(abs(sums.mean() - N) < 5 * sums.std() / math.sqrt(200), sums.mean())


not_built("balance 12.5", "ReTaSA", "",
          "its estimator could not be verified")  # fmt: skip


@system(
    "balance 13.1",
    "To Repeat or Not To Repeat",
    "Xue et al., NeurIPS 2023",
    "samplers.WeightedSampler, samplers.ClassBalancedSampler, scores.ExposureCounter",
)
def repetition() -> None:
    """No sample more than 3 times an epoch; the counter counts the same."""
    labels = long_tail()
    sampler = samplers.ClassBalancedSampler(labels, max_repeats_per_epoch=3)
    drawn = sampler.indices(0)
    must(np.bincount(drawn).max() <= 3)
    counter = scores.ExposureCounter(555)
    counter.update(drawn)
    near(counter.counts, np.bincount(drawn, minlength=555))
    weighted = samplers.WeightedSampler([1, 1, 1, 97], num_samples=6, max_repeats_per_epoch=3)
    near(np.bincount(weighted.indices(0)), [1, 1, 1, 3])


@system("balance 13.2", "Scaling data-constrained language models",
        "Muennighoff et al., NeurIPS 2023",
        "samplers.effective_samples, samplers.max_epochs_for")  # fmt: skip
def data_constrained() -> None:
    """Golden values of 2, 4, 8, 16, 40 epochs; `max_epochs_for` is the inverse."""
    found = [samplers.effective_samples(1, n) / n for n in (2, 4, 8, 16, 40)]
    near(found, [0.984, 0.931, 0.828, 0.661, 0.379], 5e-4)
    near(samplers.max_epochs_for(1 - found[1]), 4, 1e-3)
    law = [6.34e9, 242e9, 25e9]
    effective = samplers.effective_samples(law[2], law[1])
    must(law[2] < effective < law[1], effective)


@system("beyond the cards", "Fairness by group loss (FIS, FEBS)", "after Luo 2023; Tian 2024",
        "weighting.group_loss_scaling")  # fmt: skip
def group_scaling() -> None:
    """Groups of losses 1 and 3: weights in the ratio of the losses, mean 1."""
    found = weighting.group_loss_scaling(
        tensor([1.0, 1.0, 3.0]), groups=torch.tensor([0, 0, 1]), num_groups=2, form="error_bound"
    )
    near(found, [0.6, 0.6, 1.8])


@system("beyond the cards", "t-Batch (JODIE)", "Kumar et al., 2019",
        "samplers.TemporalBatchSampler")  # fmt: skip
def t_batch() -> None:
    """Of 200 events no two of one entity in a batch, and each entity's events in order."""
    users, items = np.random.default_rng(0).integers(0, 20, (2, 200))
    batches = list(samplers.TemporalBatchSampler(users, items))
    must(all(len(set(users[each])) == len(set(items[each])) == len(each) for each in batches))
    order = np.concatenate(batches)
    must(all(np.all(np.diff(order[users[order] == u]) > 0) for u in range(20)))


@system("beyond the cards", "Consensus of scores", "", "scores.rank_average, scores.mean_scores")
def consensus() -> None:
    """Loss and confidence of the digits agree: their mean rank is the loss's own."""
    from sampling import Score

    loss = Score(losses(), "harder", "loss")
    sure = Score(np.exp(-losses()), "easier", "confidence")
    ranks = scores.rank_average([loss, sure]).values
    must(np.array_equal(np.argsort(ranks), np.argsort(scores.rank_average([loss]).values)))


@system("beyond the cards", "Histogram of a target", "", "selection.match_histogram")
def histogram() -> None:
    """As many rows of each bin as the target's shares say."""
    picked = selection.match_histogram(
        np.arange(100.0), 40, target={"edges": [0, 50, 100], "shares": [1, 3]}
    )
    near(np.bincount(picked.indices // 50), [10, 30])
