"""Systems of the cards on selection: sensitivity, scores, clusters, coverage."""

# ruff: noqa: D401  # the docstring of a system says what is checked

import math

import numpy as np
import torch
import torch.nn.functional as F
from systems_shared import (
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

from sampling import clustering, samplers, scores, selection, training

N, M = 1797, 180


@system("coreset 1", "ClusterClip", "Shao et al., Findings of ACL 2024",
        "samplers.ClusterClipSampler")  # fmt: skip
def cluster_clip() -> None:
    """Two epochs of 6 draws from clusters of 8 and 2, at most 2 uses: (3, 3), then (5, 1)."""
    clusters = np.array([0] * 8 + [1] * 2)
    sampler = samplers.ClusterClipSampler(clusters, num_samples=6, num_epochs=2, max_repeats=2)
    near([np.bincount(clusters[sampler.indices(epoch)]) for epoch in range(2)], [[3, 3], [5, 1]])


@system("coreset 2", "Clustering-based sensitivity sampling", "Axiotis et al., ICML 2024",
        "selection.cluster_sensitivity, samplers.SensitivitySampler")  # fmt: skip
def sensitivity() -> None:
    """The weighted sum of losses of 600 digits estimates that of all, within 15 %."""
    x, _ = digits()
    clusters = clustering.kmeans(x, 40)
    center_losses = losses()[clusters.nearest]
    picked = selection.cluster_sensitivity(
        x, 600, center_losses=center_losses, clusters=clusters, holder_constant=0.05
    )
    estimate = picked.weights @ losses()[picked.indices]
    must(len(picked) == 600 and abs(estimate / losses().sum() - 1) < 0.15, estimate)
    sampler = samplers.SensitivitySampler(
        [0, 1, 0, 1], [0, 0, 1, 1], [1.0, 3.0], num_samples=4, holder_constant=2.0
    )
    near(sampler.scores, [1, 3, 3, 5])


@system("coreset 3", "Leverage scores", "Drineas et al., JMLR 2012",
        "selection.leverage_scores, selection.leverage")  # fmt: skip
def leverage() -> None:
    """Scores sum to the rank of the digits; weights are 1 / inclusion probability."""
    x, _ = digits()
    near(selection.leverage_scores(x).sum(), np.linalg.matrix_rank(x), 1e-6)
    picked = selection.leverage(x, M)
    must(abs(picked.weights.sum() / N - 1) < 0.5, picked.weights.sum())


@system("coreset 3", "Root leverage scores, l_p sensitivity", "Woodruff, Yasuda, ICML 2023",
        "selection.root_leverage, selection.sensitivity_lp")  # fmt: skip
def lp_sensitivity() -> None:
    """Bounds for p = 4 of the rows 3, 1, 0, 1: 1, 0.033, 0, 0.033; 180 digits by root leverage."""
    x, _ = digits()
    found = selection.sensitivity_lp([[3.0], [1.0], [0.0], [1.0]], 1, p=4.0)
    near(found.scores, [1, 0.033, 0, 0.033], 5e-4)
    must(len(selection.root_leverage(x, M)) == M)


@system("coreset 3", "Lewis weights", "Cohen, Peng, STOC 2015",
        "selection.lewis_weights, selection.lewis")  # fmt: skip
def lewis() -> None:
    """The weights are leverage scores of the rows scaled by w^(1/2 - 1/p), and sum to the rank."""
    x, _ = digits()
    rows = x[:, x.std(0) > 0.1].astype(float)
    weights = selection.lewis_weights(rows, 1.5, tolerance=1e-8, max_iter=200)
    scaled = rows * (weights ** (1 / 2 - 1 / 1.5))[:, None]
    near(selection.leverage_scores(scaled), weights, 1e-5)
    must(len(selection.lewis(x, M)) == M)


@system("coreset 4", "Dependent leverage score sampling (pivotal)", "Shimizu et al., ICLR 2024",
        "selection.leverage, selection.pivotal")  # fmt: skip
def pivotal() -> None:
    """Exactly M rows, and over 400 draws each row as often as its probability, within 5 sigma."""
    pi = selection.inclusion_probabilities(losses()[:200] + 0.05, 40)
    counts = np.zeros(200)
    for seed in range(400):
        picked = selection.pivotal(pi, 40, seed=seed)
        must(len(picked) == 40)
        counts[picked.indices] += 1
    must((np.abs(counts / 400 - pi) <= 5 * np.sqrt(pi * (1 - pi) / 400) + 1e-9).all())


@system("coreset 4", "Independent and systematic designs", "Hajek 1964; Madow 1949",
        "selection.poisson, selection.systematic, selection.inclusion_probabilities")  # fmt: skip
def designs() -> None:
    """Probabilities sum to M; a systematic draw has M rows; both take all rows of probability 1."""
    near(selection.inclusion_probabilities([6.0, 1.0, 1.0, 0.0], 2), [1, 0.5, 0.5, 0])
    values = losses() + 0.01
    sure = np.flatnonzero(selection.inclusion_probabilities(values, M) == 1)
    one, two = selection.systematic(values, M), selection.poisson(values, M)
    must(len(one) == M and np.isin(sure, one.indices).all() and np.isin(sure, two.indices).all())


@system("coreset 5", "Surrogate-score data selection", "Kolossov, Montanari, Tandon, ICLR 2024",
        "selection.surrogate")  # fmt: skip
def surrogate() -> None:
    """A positive exponent keeps less certain digits than a negative one."""
    certain = probabilities().max(1)
    hard, easy = (
        certain[selection.surrogate(probabilities(), M, exponent=each).indices].mean()
        for each in (1.0, -1.0)
    )
    must(hard < certain.mean() < easy, (hard, easy))


@system("coreset 6", "Diversify and Conquer (kMQ)", "Yu et al., 2024",
        "selection.kmq, selection.reweight_clusters")  # fmt: skip
def kmq() -> None:
    """As many rows from each of 20 clusters, M in all; gains move the weights of clusters."""
    x, _ = digits()
    clusters = clustering.kmeans(x, 20)
    picked = selection.kmq(x, M, quality=-losses(), clusters=clusters)
    counts = np.bincount(clusters.labels[picked.indices], minlength=20)
    must(counts.sum() == M and counts.max() - counts.min() <= 1, counts)
    near(selection.reweight_clusters([0.0, 0.0, 1.0], [2.0, 4.0], [0, 0]), [1.5, 0, 1])


@system("coreset 7", "SampleMix", "Xi et al., Findings of EMNLP 2025",
        "selection.samplemix")  # fmt: skip
def samplemix() -> None:
    """Repeats sum to the budget, also above N."""
    x, _ = digits()
    picked = selection.samplemix(x, 4000, quality=-losses(), clusters=20)
    must(picked.weights.sum() == 4000 and picked.weights.max() > 1, picked.weights.sum())


@system("coreset 8", "BERTIN perplexity sampling", "De la Rosa et al., 2022",
        "selection.perplexity")  # fmt: skip
def perplexity() -> None:
    """The middle of the perplexities is kept more often than the ends."""
    values = np.exp(losses())
    ranks = np.argsort(np.argsort(values)) / N
    picked = ranks[selection.perplexity(values, M).indices]
    middle = ((picked > 0.25) & (picked < 0.75)).mean()
    must(len(picked) == M and middle > 0.5, middle)


@system("coreset 9", "The Power of Few", "",
        "training.meta_weights, selection.propagate",
        "rules of the paper beyond its abstract, which alone could be read")  # fmt: skip
def power_of_few() -> None:
    """Of wrong labels 0 and 1, most get small weights on a core set and after propagation."""
    x, y = digits()
    rows = np.flatnonzero(y < 2)
    x, right = torch.tensor(x[rows]), torch.tensor(y[rows])
    wrong = np.random.default_rng(0).random(len(rows)) < 0.3
    given = torch.where(torch.tensor(wrong), 1 - right, right)
    torch.manual_seed(0)
    core, clean = slice(0, 200), slice(300, 360)
    found = training.meta_weights(
        torch.nn.Linear(64, 2), lambda z, t: F.cross_entropy(z, t, reduction="none"),
        x[core], given[core], x[clean], right[clean],
    )  # fmt: skip
    weights = selection.propagate(np.arange(200), found, x.numpy(), labels=given.numpy())
    must(weights[wrong].mean() < 0.7 * weights[~wrong].mean(), weights[wrong].mean())


@system(
    "coreset 10",
    "EL2N and GraNd (Data Diet)",
    "Paul, Ganguli, Dziugaite, NeurIPS 2021",
    "scores.el2n, scores.grand, scores.mean_scores, selection.top, selection.window",
)
def data_diet() -> None:
    """EL2N is |p - y|; GraNd of a linear model is EL2N times |x|; a window skips the hardest."""
    x, y = digits()
    found = scores.el2n(logits(), y)
    near(found.values, np.linalg.norm(probabilities() - np.eye(10)[y], axis=1), 1e-5)
    model = torch.nn.Linear(64, 10, bias=False)
    grand = scores.grand(model, F.cross_entropy, torch.tensor(x[:64]), torch.tensor(y[:64]))
    outputs = model(torch.tensor(x[:64])).detach().numpy()
    near(grand.values, scores.el2n(outputs, y[:64]).values * np.linalg.norm(x[:64], axis=1), 1e-4)
    mean = scores.mean_scores([found, found])
    hardest = selection.top(mean, M).indices
    must(not np.isin(selection.window(mean, M, offset=0.1).indices, hardest).any())


def _dynamics() -> tuple[scores.TrainingDynamics, np.ndarray]:
    """Return the dynamics of one sample, for margins -1, 2, -1, and its probabilities."""
    dynamics = scores.TrainingDynamics(1, num_classes=2)
    for margin in (-1.0, 2.0, -1.0):
        dynamics.update([0], [[margin, 0.0]], [0])
    return dynamics, 1 / (1 + np.exp([1.0, -2.0, 1.0]))


@system("coreset 11a", "Forgetting events", "Toneva et al., ICLR 2019",
        "scores.TrainingDynamics")  # fmt: skip
def forgetting() -> None:
    """Wrong, right, wrong: one event."""
    near(_dynamics()[0].forgetting().values, [1])


@system("coreset 11b", "AUM", "Pleiss et al., NeurIPS 2020",
        "scores.TrainingDynamics, scores.threshold_samples, scores.aum_flagged")  # fmt: skip
def aum() -> None:
    """The mean margin of -1, 2, -1; threshold samples make a class of their own."""
    near(_dynamics()[0].aum().values, [0], 1e-6)
    _, y = digits()
    must(len(scores.threshold_samples(y, 10)) == N // 11, len(scores.threshold_samples(y, 10)))
    flagged = scores.aum_flagged([5.0, -2, 3, 1, -1], threshold_rows=[3, 4], percentile=50)
    must(flagged.tolist() == [False, True, False, False, False])


@system("coreset 11c", "Dataset cartography", "Swayamdipta et al., EMNLP 2020",
        "scores.TrainingDynamics")  # fmt: skip
def cartography() -> None:
    """Mean and population deviation of the label's probability; the share of right answers."""
    dynamics, p = _dynamics()
    near(dynamics.confidence().values, [p.mean()], 1e-5)
    near(dynamics.variability().values, [p.std()], 1e-5)
    near(dynamics.correctness().values, [1 / 3], 1e-6)


@system("coreset 11d", "Memorization by subsampling", "Feldman, Zhang, NeurIPS 2020",
        "scores.memorization, selection.bags", "influence on other samples")  # fmt: skip
def memorization() -> None:
    """By 20 trees on bags: 40 wrong labels are memorized, at least 0.3 above the right ones."""
    from sklearn.tree import DecisionTreeClassifier

    x, y = digits()
    x, y = x[:400], y[:400].copy()
    y[:40] = (y[:40] + 1) % 10
    bags = selection.bags(400, 20, draws=0.7, replacement=False)
    trees = [DecisionTreeClassifier(random_state=0).fit(x[b.indices], y[b.indices]) for b in bags]
    found = scores.memorization([tree.predict(x) == y for tree in trees], bags, min_models=2)
    values = found.values
    must(np.nanmean(values[:40]) > np.nanmean(values[40:]) + 0.3, np.nanmean(values[:40]))


@system(
    "coreset 11e, balance 10.1",
    "Confident learning",
    "Northcutt, Jiang, Chuang, JAIR 2021",
    "scores.label_issues, scores.label_quality",
)
def confident_learning() -> None:
    """Of 90 wrong labels of the digits, most are found; most that are flagged are wrong."""
    from sklearn.model_selection import cross_val_predict
    from sklearn.naive_bayes import GaussianNB

    x, y = digits()
    noisy = y.copy()
    noisy[:90] = (noisy[:90] + 3) % 10
    sure = cross_val_predict(GaussianNB(var_smoothing=1e-2), x, noisy, method="predict_proba")
    found = np.flatnonzero(scores.label_issues(noisy, sure))
    must((found < 90).sum() > 70, (found < 90).sum())
    quality = scores.label_quality(noisy, sure).values
    must(quality[:90].mean() < 0.2 < quality[90:].mean(), quality[:90].mean())


@system("coreset 12", "DsDm", "Engstrom, Feldmann, Madry, ICML 2024",
        "scores.AttributionScores",
        "the estimate of the attributions, of which no code was released")  # fmt: skip
def dsdm() -> None:
    """The mean over the targets of each row's attribution, and the best rows by it."""
    found = scores.AttributionScores([[3.0, -1], [1, 1], [-2, 2], [-5, 0]]).score("mean")
    near(found.values, [1, 1, 0, -2.5])
    must(set(selection.top(found, 2).indices) == {0, 1})


@system("coreset 12", "TRAK, by traker", "Park et al., ICML 2023", "scores.trak")
def trak() -> None:
    """A number for each row and target (with the extra `attribution`; else nothing is run)."""
    try:
        import trak as _  # noqa: F401
    except ImportError:
        return
    x, y = digits()
    rows = np.flatnonzero(y < 2)[:64]
    data = torch.utils.data.TensorDataset(torch.tensor(x[rows]), torch.tensor(y[rows]))
    model = torch.nn.Linear(64, 2)
    targets = torch.utils.data.Subset(data, [0, 1, 2])
    must(scores.trak(model, data, targets, proj_dim=16).matrix.shape == (64, 3))


@system("coreset 13", "Pointwise V-information", "Ethayarajh, Choi, Swayamdipta, 2022",
        "scores.pvi")  # fmt: skip
def pvi() -> None:
    """log2 g(y|x) - log2 g(y): 1 bit and -1 bit."""
    near(scores.pvi(np.log([0.5, 0.25]), np.log([0.25, 0.5])).values, [1, -1])


not_built(
    "coreset 13", "Representer points", "Yeh et al., 2018",
    "of the last layer only; `scores.AttributionScores` takes such a matrix from `dattri`",
)  # fmt: skip


@system("coreset 14a", "k-center greedy", "Gonzalez 1985; Sener, Savarese, ICLR 2018",
        "selection.k_center")  # fmt: skip
def k_center() -> None:
    """The radius is the distance of the farthest digit, and smaller than with the first 180."""
    from sklearn.metrics import pairwise_distances

    x, _ = digits()
    found = selection.k_center(x, M)
    covered = pairwise_distances(x, x[found.indices]).min(1).max()
    near(found.info["radius"], covered, 1e-3)
    must(covered < pairwise_distances(x, x[:M]).min(1).max())


@system("coreset 14b", "Herding", "Welling, ICML 2009", "selection.herding")
def herding() -> None:
    """The mean of the picks is 10 times nearer to that of all digits than of random rows."""
    x, _ = digits()
    rows = np.random.default_rng(0).permutation(N)[:M]
    error, random = (
        np.linalg.norm(x[each].mean(0) - x.mean(0))
        for each in (selection.herding(x, M).indices, rows)
    )
    must(10 * error < random, (error, random))


@system("coreset 14c", "Moderate coreset", "Xia et al., ICLR 2023", "selection.moderate")
def moderate() -> None:
    """The middle ranks of the distances from the class medians."""
    x, y = digits()
    centers = np.array([np.median(x[y == c], axis=0) for c in range(10)])
    ranks = np.argsort(np.argsort(np.linalg.norm(x - centers[y], axis=1)))
    picked = ranks[selection.moderate(x, M, labels=y).indices]
    must(picked.max() - picked.min() <= M + 1 and abs(picked.mean() - N / 2) < 2, picked.mean())


@system("coreset 14d", "CCS", "Zheng et al., ICLR 2023", "selection.ccs, selection.stratified")
def ccs() -> None:
    """None of the hardest 10 %; negative scores lose no row; constant scores keep M rows."""
    hardest = np.argsort(losses())[-180:]
    must(not np.isin(selection.ccs(losses(), M, cut=0.1).indices, hardest).any())
    must(len(selection.ccs(-losses() - 1, N - 180, cut=0.1)) == N - 180)
    must(len(selection.ccs(np.zeros(N), M, cut=0.1)) == M)


@system("coreset 14e", "D2 pruning", "Maharana, Yadav, Bansal, ICLR 2024", "selection.d2")
def d2() -> None:
    """M different digits; of two equal rows the second is picked late."""
    x, _ = digits()
    must(len(set(selection.d2(losses(), M, embeddings=x, num_neighbours=5).indices)) == M)
    rows = [[0.0], [0.0], [5.0], [6.0]]
    picked = selection.d2([1.0, 1, 0.9, 0.2], 2, embeddings=rows, num_neighbours=1, gamma=0.5)
    must(picked.indices[1] == 2)


@system("coreset 14f", "Self-supervised prototypes", "Sorscher et al., NeurIPS 2022",
        "selection.prototypes")  # fmt: skip
def prototypes() -> None:
    """`keep="far"` and `keep="near"` of a half of the rows are complements."""
    x, _ = digits()
    clusters = clustering.kmeans(x[:1796], 10, spherical=True)
    far, near_ones = (
        set(selection.prototypes(x[:1796], 898, keep=each, clusters=clusters).indices)
        for each in ("far", "near")
    )
    must(not far & near_ones, len(far & near_ones))


@system("coreset 14g", "D4", "Tirumala et al., NeurIPS 2023", "selection.d4")
def d4() -> None:
    """M rows, and of near copies of 200 digits hardly one pair is kept whole."""
    x, _ = digits()
    rows = np.vstack([x, x[:200] + 1e-4])
    kept = selection.d4(rows, 300, dedup_keep=0.7, clusters=10).indices
    pairs = np.isin(np.arange(200), kept) & np.isin(np.arange(N, N + 200), kept)
    must(len(kept) == 300 and pairs.sum() <= 2, pairs.sum())


@system("coreset 14h", "SemDeDup", "Abbas et al., 2023", "selection.semdedup")
def semdedup() -> None:
    """All planted copies of 200 digits are dropped, and no row without a twin is."""
    x, _ = digits()
    rows = np.vstack([x, x[:200]])
    found = selection.semdedup(rows, threshold=0.9999, clusters=10)
    kept = np.isin(np.arange(N + 200), found.indices)
    must((kept[:200] ^ kept[N:]).all() and kept[200:N].all(), kept.sum())


@system("coreset 14i", "Hierarchical k-means curation", "Vo et al., TMLR 2024",
        "selection.cluster_hierarchy", "different resampling at each level")  # fmt: skip
def cluster_hierarchy() -> None:
    """Digits of which 0 is 5 times as frequent: kept less than half as often, over 5 seeds."""
    x, y = digits()
    rows = np.vstack([x, *[x[y == 0]] * 4])
    zeros = np.concatenate([y == 0, np.ones(4 * (y == 0).sum(), bool)])
    shares = []
    for seed in range(5):  # of one seed, two of the ten branches may be zeros
        picked = selection.cluster_hierarchy(
            rows, 600, num_clusters=[200, 10], resampling_steps=2, seed=seed
        )
        must(len(picked) == 600)
        shares.append(zeros[picked.indices].mean())
    must(np.mean(shares) < 0.5 * zeros.mean(), shares)


@system("coreset 14i", "Uniform over clusters", "one level of Vo et al., TMLR 2024",
        "selection.cluster_uniform, selection.water_fill")  # fmt: skip
def cluster_uniform() -> None:
    """Counts of the clusters are the water level of their sizes."""
    x, _ = digits()
    clusters = clustering.kmeans(x, 20)
    picked = selection.cluster_uniform(x, 1000, clusters=clusters)
    counts = np.bincount(clusters.labels[picked.indices], minlength=20)
    level = selection.water_fill(clusters.sizes, 1000)
    must(counts.sum() == 1000 and np.abs(counts - level).max() <= 1, counts - level)


@system("coreset 14j", "Facility location", "Minoux 1978; Mirzasoleiman et al., AAAI 2015",
        "selection.facility_location")  # fmt: skip
def facility_location() -> None:
    """Greedy gains never increase, and the weights count all rows."""
    x, _ = digits()
    found = selection.facility_location(x, 50)
    similar = (1 + clean(x) @ clean(x[found.indices]).T) / 2
    reached = np.maximum.accumulate(similar, axis=1).sum(0)
    gains = np.diff(reached)
    must((np.diff(gains) <= 1e-3).all() and found.weights.sum() == N, found.weights.sum())


def clean(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@system("coreset 14j, balance 7.4", "Log-determinant, greedy DPP",
        "Chen, Zhang, Zhou, NeurIPS 2018", "selection.dpp")  # fmt: skip
def dpp() -> None:
    """A determinant larger than of random digits."""
    x, _ = digits()
    rows = clean(x)

    def volume(picks: np.ndarray) -> float:
        gaps = ((rows[picks][:, None] - rows[picks]) ** 2).sum(2)
        return float(np.linalg.slogdet(np.exp(-gaps / 2))[1])

    must(volume(selection.dpp(x, 40).indices) > volume(np.arange(40)) + 5)


@system("coreset 14j", "Graph cut", "Lin, Bilmes, NAACL 2010", "selection.graph_cut")
def graph_cut() -> None:
    """The picks of the objective over all pairs; lambda multiplies the redundancy."""
    x, _ = digits()
    rows = clean(x.astype(np.float64))
    similar = (1 + rows @ rows.T) / 2
    for redundancy in (0.5, 20.0):
        picks: list[int] = []
        for _ in range(20):
            gains = similar.sum(0) - redundancy * (2 * similar[picks].sum(0) + similar.diagonal())
            gains[picks] = -np.inf
            picks.append(int(gains.argmax()))
        must(selection.graph_cut(x, 20, redundancy=redundancy).indices.tolist() == picks, picks)


def last_layer(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return gradients of the cross-entropy of some digits by a (10, 64) weight: (n, 640)."""
    x, y = digits()
    chances = torch.softmax(tensor(x[rows] @ weight.T), 1).numpy()
    errors = chances - np.eye(10)[y[rows]]
    return (errors[:, :, None] * x[rows][:, None, :]).reshape(len(rows), -1)


@system("coreset 14k", "CRAIG", "Mirzasoleiman, Bilmes, Leskovec, ICML 2020",
        "selection.facility_location, samplers.SubsetSampler")  # fmt: skip
def craig() -> None:
    """Weights of picks by last-layer gradients sum to N; selected again, the subset changes."""
    rows, weight, kept = np.arange(N), np.zeros((10, 64)), []
    for _ in range(2):
        gradients = last_layer(rows, weight)
        found = selection.facility_location(gradients, M, metric="euclidean")
        must(found.weights.sum() == N and found.weights.min() >= 1, found.weights.sum())
        exact, estimate = gradients.mean(0), found.weights @ gradients[found.indices] / N
        must(np.linalg.norm(estimate - exact) < 0.5 * np.linalg.norm(exact))
        sampler = samplers.SubsetSampler(found)
        drawn = sampler.indices(0)
        step = (sampler.weights_for(drawn)[:, None] * gradients[drawn]).mean(0)
        weight = weight - 0.5 * step.reshape(10, 64)
        kept.append(set(drawn.tolist()))
    must(kept[0] != kept[1])


@system("coreset 14l", "GradMatch", "Killamsetty et al., ICML 2021",
        "selection.grad_match, samplers.SubsetSampler")  # fmt: skip
def grad_match() -> None:
    """The weighted sum of 180 gradients is that of all within 5 %, by positive weights."""
    gradients = last_layer(np.arange(N), np.zeros((10, 64)))
    found = selection.grad_match(gradients, M, regularization=0.01)
    exact = gradients.sum(0)
    error = np.linalg.norm(found.weights @ gradients[found.indices] - exact)
    must(error < 0.05 * np.linalg.norm(exact), error / np.linalg.norm(exact))
    must((found.weights > 0).all() and found.info["m_eff"] == len(found) <= M)
    by_class = selection.grad_match(gradients, M, groups=digits()[1])
    must(set(digits()[1][by_class.indices]) == set(range(10)))
    must(len(selection.grad_match(gradients[:, :5], M, regularization=0.0)) <= 5)


@system("coreset 14m", "GLISTER", "Killamsetty et al., AAAI 2021", "selection.glister")
def glister() -> None:
    """A step on the picks reduces the loss of 500 digits more than without refreshed gradients."""
    x, y = digits()
    held, rows = np.arange(500), np.arange(500, N)

    def validation(change: np.ndarray) -> np.ndarray:
        return last_layer(held, change.reshape(10, 64)).mean(0)

    def after(rate: float) -> float:
        gradients = last_layer(rows, np.zeros((10, 64)))
        picks = selection.glister(gradients, 60, validation=validation, learning_rate=rate).indices
        weight = -0.05 * gradients[picks].sum(0).reshape(10, 64)
        return float(F.cross_entropy(tensor(x[held] @ weight.T), torch.tensor(y[held])))

    must(after(0.05) < after(0.0), (after(0.05), after(0.0)))


@system("coreset 14n", "CAL", "Margatina et al., EMNLP 2021",
        "scores.contrastive, clustering.neighbours")  # fmt: skip
def cal() -> None:
    """The mean of KL(neighbour || own) over 10 neighbours; wrong digits have larger ones."""
    x, y = digits()
    graph = clustering.neighbours(x, 10)
    found = scores.contrastive(probabilities(), graph).values
    p, others = probabilities()[:50], probabilities()[graph.indices[:50]]
    expected = (others * np.log(others / p[:, None])).sum(2).mean(1)
    near(found[:50], expected)
    wrong = probabilities().argmax(1) != y
    must(found[wrong].mean() > 1.5 * found[~wrong].mean(), found[wrong].mean())


not_built("coreset 14q", "InfoMax", "Tan et al., ICLR 2025", "its update could not be verified")


@system("coreset 14r", "BWS", "Choi, Ki, Chung, ICML 2024", "selection.best_window",
        "kernels other than the linear one")  # fmt: skip
def bws() -> None:
    """The window of the highest accuracy on all digits, found again by a dense solve."""
    x, y = digits()
    picked = selection.best_window(losses(), M, embeddings=x, labels=y)
    order = np.argsort(-losses(), kind="stable")
    wide = np.hstack([x / np.sqrt((x**2).mean()), np.ones((N, 1))])
    penalty = np.diag([0.01 * M] * 64 + [0.0])
    accuracies = []
    for above in picked.info["offsets"]:
        own = wide[order[above : above + M]]
        fit = np.linalg.solve(
            own.T @ own + penalty, own.T @ np.eye(10)[y[order][above : above + M]]
        )
        accuracies.append((wide @ fit).argmax(1) == y)
    near(picked.info["accuracies"], np.mean(accuracies, axis=1), 0.002)
    must(picked.info["above"] == picked.info["offsets"][int(np.argmax(picked.info["accuracies"]))])


@system("coreset 14s", "ELFS, double-end pruning", "Zheng et al., ICLR 2025",
        "selection.window", "its pseudo-labels by deep clustering")  # fmt: skip
def elfs() -> None:
    """One contiguous window of ranks below the hardest 40 %."""
    ranks = np.argsort(np.argsort(-losses()))
    picked = ranks[selection.window(losses(), M, offset=0.4).indices]
    must(abs(picked.min() - 0.4 * N) <= 1 and picked.max() - picked.min() == M - 1, picked.min())


@system("coreset 14u", "Draws by score: Gumbel top-k", "Kool, van Hoof, Welling, ICML 2019",
        "selection.gumbel")  # fmt: skip
def gumbel() -> None:
    """The first pick of 2,000 draws falls on rows in proportion to exp(score)."""
    values = np.log([1.0, 2.0, 7.0])
    first = [selection.gumbel(values, 1, seed=seed).indices[0] for seed in range(2000)]
    near(np.bincount(first) / 2000, [0.1, 0.2, 0.7], 0.04)


@system("coreset 14u", "Quotas and both ends", "", "selection.quota, selection.bottom")
def quota() -> None:
    """As many of each digit; the M lowest losses."""
    _, y = digits()
    picked = selection.quota(losses(), M, groups=y, group_budgets="equal")
    must((np.bincount(y[picked.indices]) == 18).all())
    must(set(selection.bottom(losses(), M).indices) == set(np.argsort(losses())[:M]))


@system("coreset 14w", "DRoP", "Vysogorets, Ahuja, Kempe, ICLR 2025",
        "selection.quotas_from_recall")  # fmt: skip
def drop() -> None:
    """Quotas in proportion to 1 - recall, exactly the budget; even where all are right."""
    labels = ["cat"] * 6 + ["dog"] * 6
    must(selection.quotas_from_recall(labels, {"cat": 0.9, "dog": 0.6}, 5) == {"cat": 1, "dog": 4})
    must(selection.quotas_from_recall(labels, {"cat": 1, "dog": 1}, 6) == {"cat": 3, "dog": 3})


@system("coreset 14, beyond the cards", "Clear Preferences", "Diwan, Ergen, Shim, Lee, 2025",
        "scores.sequence_log_probs, selection.preference_gap")  # fmt: skip
def clear_preferences() -> None:
    """Log-probabilities of tokens summed; the pairs with the largest gaps."""
    stream = tensor([[[0.0, 0.0], [0.0, 50.0], [0.0, 0.0]]])
    near(scores.sequence_log_probs(stream, torch.tensor([[0, 1, 1]])), [-math.log(2)], 1e-4)
    chosen, rejected = -losses()[:100], -losses()[100:200]
    picked = selection.preference_gap(chosen, 10, rejected=rejected).indices
    must(set(picked) == set(np.argsort(rejected - chosen)[:10]))


@system("coreset 14, beyond the cards", "Duplicate texts by MinHash", "Broder 1997",
        "selection.dedup_text")  # fmt: skip
def dedup_text() -> None:
    """50 texts with other case and spaces are dropped, no other."""
    words = np.random.default_rng(0).integers(0, 10**6, (300, 12))
    texts = [" ".join(f"word{each}" for each in row) for row in words]
    found = selection.dedup_text([*texts, *(each.upper() + " " for each in texts[:50])])
    must(len(found) == 300, len(found))
