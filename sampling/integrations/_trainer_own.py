"""Hugging Face Trainer: refusal of user methods that the mixin would silently ignore.

The mixin replaces how batches are drawn and how a loss is computed. A class that overrides the same
methods is detected here, wherever it is among the bases.
"""

from typing import Any

_LIBRARY = "transformers"  # whose own classes are what the mixin is made for

_LOSS = (
    "return one loss for each sample from per_sample_loss(self, model, inputs, outputs), such as "
    "cross_entropy(..., reduction='none'), instead"
)
_ANYWHERE = {  # method -> remedy, for methods that the mixin never calls, or that never call it
    "compute_loss": _LOSS,
    "_get_train_sampler": "pass the sampler as train_sampler instead",
}
_BEHIND = {  # the same, for classes that come after the mixin
    "per_sample_loss": "name the class before SamplerTrainerMixin",
    "get_train_dataloader": (
        "override it in a class before SamplerTrainerMixin, from super().get_train_dataloader()"
    ),
}


def refuse_overrides(trainer: Any, mixin: type) -> None:  # noqa: ANN401  # the user's Trainer
    """Refuse user methods that would not be called, or not with the batches of the sampler.

    A class before the mixin that defines `compute_loss = SamplerTrainerMixin.compute_loss` has
    chosen: those after it may then be ignored. The same holds for the other methods.
    """
    order = type(trainer).__mro__
    own = {each for each in mixin.__mro__ if each.__module__.startswith(mixin.__module__)}
    for name, remedy in {**_ANYWHERE, **_BEHIND}.items():
        ours = vars(mixin)[name]
        behind = order[order.index(mixin) + 1 :]
        looked_at = order if name in _ANYWHERE else behind
        if name in vars(trainer) and name in _ANYWHERE:
            _refuse(f"{name} of this {type(trainer).__name__}", remedy)
        for each in order[: order.index(mixin)]:
            if vars(each).get(name) is ours:
                looked_at = ()
                break
            if name in vars(each):
                break
        for each in looked_at:
            library = each.__module__.partition(".")[0] == _LIBRARY
            if name in vars(each) and each not in own and not library:
                _refuse(f"{each.__name__}.{name}", remedy)


def _refuse(what: str, remedy: str) -> None:
    raise ValueError(
        f"no class must have its own of what SamplerTrainerMixin replaces, got {what}, which would "
        f"not be used: {remedy}"
    )


def refuse_strategy(args: Any, sampler: Any) -> None:  # noqa: ANN401
    """Refuse TrainingArguments that set an order, which the sampler determines."""
    strategy = getattr(args, "train_sampling_strategy", "random")
    if getattr(args, "group_by_length", False):
        strategy = "group_by_length"
    if strategy != "random":
        raise ValueError(
            f"train_sampling_strategy must be 'random', got {strategy!r}: the order is that of "
            f"train_sampler, a {type(sampler).__name__}; TokenBudgetBatchSampler makes batches of "
            "samples of similar lengths"
        )
    seed = getattr(sampler, "seed", getattr(getattr(sampler, "sampler", None), "seed", None))
    if args.data_seed is not None and seed is not None and args.data_seed != seed:
        raise ValueError(
            f"data_seed must be None, or the seed of train_sampler, {seed}, got {args.data_seed}: "
            "the order is the sampler's"
        )
