"""One call of each selector, over the same N = 211 rows (a prime: nothing divides it)."""

import numpy as np

from sampling.clustering import kmeans
from sampling.selection import METHODS

N, D = 211, 5
_RANDOM = np.random.default_rng(7)
LABELS = np.arange(N) ** 2 % 7


class Data:
    """The inputs of all selectors; `at(rows)` has those of some rows, in that order."""

    def __init__(self, **arrays):
        self.__dict__.update(arrays)

    def at(self, rows):
        return Data(**{name: array[rows] for name, array in vars(self).items()})

    def __len__(self):
        return len(self.scores)


DATA = Data(
    scores=np.round(_RANDOM.gamma(2.0, size=N), 1),  # rounded: ties
    embeddings=(_RANDOM.normal(size=(N, D)) + LABELS[:, None] % 3 * 3).astype(np.float32),
    confidence=_RANDOM.beta(4, 2, size=N),
    probabilities=_RANDOM.uniform(size=N),
    perplexities=np.exp(_RANDOM.normal(6, 1, size=N)),
    rejected=np.round(_RANDOM.gamma(2.0, size=N), 1),
    labels=LABELS,
    texts=np.array(
        [
            " ".join(_RANDOM.choice(["red", "green", "Blue", "grün", "the", "a"], 4))
            for _ in range(N)
        ]
    ),
    ids=1000 + _RANDOM.permutation(N),
)


def to_the_middle(change):
    """Return the gradient of |change - 1|^2 / 2."""
    return change - 1.0


CALLS = {
    "best_window": lambda d, m, **o: METHODS["best_window"].function(
        d.scores, m, embeddings=d.embeddings, labels=d.ids % 2, **o
    ),
    "beta": lambda d, m, **o: METHODS["beta"].function(d.scores, m, confidence=d.confidence, **o),
    "bottom": lambda d, m, **o: METHODS["bottom"].function(d.scores, m, **o),
    "ccs": lambda d, m, **o: METHODS["ccs"].function(d.scores, m, **o),
    "cluster_hierarchy": lambda d, m, **o: METHODS["cluster_hierarchy"].function(
        d.embeddings, m, num_clusters=[1], **o
    ),
    "cluster_sensitivity": lambda d, m, **o: METHODS["cluster_sensitivity"].function(
        d.embeddings,
        m,
        clusters=kmeans(d.embeddings, 1),
        center_losses=[1.0],
        holder_constant=0.2,
        **o,
    ),
    "cluster_uniform": lambda d, m, **o: METHODS["cluster_uniform"].function(
        d.embeddings, m, clusters=1, **o
    ),
    "d2": lambda d, m, **o: METHODS["d2"].function(d.scores, m, embeddings=d.embeddings, **o),
    "d4": lambda d, m, **o: METHODS["d4"].function(
        d.embeddings, m, clusters=1, dedup_clusters=1, **o
    ),
    "dedup_text": lambda d, m, **o: METHODS["dedup_text"].function(d.texts, m, **o),
    "dpp": lambda d, m, **o: METHODS["dpp"].function(
        d.embeddings, m, quality=1 + d.scores, bandwidth=0.5, **o
    ),
    "facility_location": lambda d, m, **o: METHODS["facility_location"].function(
        d.embeddings, m, **o
    ),
    "glister": lambda d, m, **o: METHODS["glister"].function(
        d.embeddings, m, validation=to_the_middle, **o
    ),
    "grad_match": lambda d, m, **o: METHODS["grad_match"].function(d.embeddings, m, **o),
    "graph_cut": lambda d, m, **o: METHODS["graph_cut"].function(d.embeddings, m, **o),
    "gumbel": lambda d, m, **o: METHODS["gumbel"].function(d.scores, m, **o),
    "herding": lambda d, m, **o: METHODS["herding"].function(d.embeddings, m, **o),
    "k_center": lambda d, m, **o: METHODS["k_center"].function(d.embeddings, m, **o),
    "k_dpp": lambda d, m, **o: METHODS["k_dpp"].function(d.embeddings, m, **o),
    "kmq": lambda d, m, **o: METHODS["kmq"].function(
        d.embeddings, m, quality=d.scores, clusters=1, **o
    ),
    "leverage": lambda d, m, **o: METHODS["leverage"].function(d.embeddings, m, **o),
    "lewis": lambda d, m, **o: METHODS["lewis"].function(d.embeddings, m, **o),
    "match_histogram": lambda d, m, **o: METHODS["match_histogram"].function(
        d.scores, m, target={"edges": [0, 1, 2, 9], "shares": [1, 2, 3]}, **o
    ),
    "moderate": lambda d, m, **o: METHODS["moderate"].function(
        d.embeddings, m, labels=d.labels, **o
    ),
    "perplexity": lambda d, m, **o: METHODS["perplexity"].function(d.perplexities, m, **o),
    "pivotal": lambda d, m, **o: METHODS["pivotal"].function(d.scores + 0.1, m, **o),
    "poisson": lambda d, m, **o: METHODS["poisson"].function(d.scores + 0.1, m, **o),
    "preference_gap": lambda d, m, **o: METHODS["preference_gap"].function(
        d.scores, m, rejected=d.rejected, **o
    ),
    "prototypes": lambda d, m, **o: METHODS["prototypes"].function(
        d.embeddings, m, clusters=1, **o
    ),
    "quota": lambda d, m, **o: METHODS["quota"].function(d.scores, m, **o),
    "samplemix": lambda d, m, **o: METHODS["samplemix"].function(
        d.embeddings, m, quality=d.scores, clusters=1, max_repeat=1, **o
    ),
    "semdedup": lambda d, m, **o: METHODS["semdedup"].function(
        d.embeddings, m, quality=d.scores, clusters=1, **o
    ),
    "root_leverage": lambda d, m, **o: METHODS["root_leverage"].function(d.embeddings, m, **o),
    "sensitivity_lp": lambda d, m, **o: METHODS["sensitivity_lp"].function(
        d.embeddings, m, p=3.0, **o
    ),
    "stratified": lambda d, m, **o: METHODS["stratified"].function(d.scores, m, **o),
    "surrogate": lambda d, m, **o: METHODS["surrogate"].function(d.probabilities, m, **o),
    "systematic": lambda d, m, **o: METHODS["systematic"].function(d.scores + 0.1, m, **o),
    "top": lambda d, m, **o: METHODS["top"].function(d.scores, m, **o),
    "window": lambda d, m, **o: METHODS["window"].function(d.scores, m, **o),
}

VARIES = {
    "grad_match": "rows that do not reduce the residual are not kept",
    "poisson": "the number of rows is random by design",
}
SEEDLESS = {
    "best_window": "decided by scores and a regression", "ccs": "only its strata are random",
    "window": "decided by scores alone",
    "top": "decided by scores alone", "bottom": "decided by scores alone",
    "d2": "only ties are random", "facility_location": "only ties are random",
    "dpp": "only ties are random", "glister": "only ties are random",
    "grad_match": "only ties are random", "graph_cut": "only ties are random",
    "herding": "only ties are random", "k_center": "only ties are random",
    "moderate": "decided by distances alone", "preference_gap": "decided by scores alone",
}  # fmt: skip
