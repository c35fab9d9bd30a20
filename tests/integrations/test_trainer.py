"""H5, H6: real runs of the Hugging Face Trainer, broken off and resumed, against unbroken ones."""

import gc
import itertools
import math

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from sampling import Indexed, Selection
from sampling.errors import StateError
from sampling.integrations._trainer import SamplerTrainerMixin
from sampling.integrations._trainer_callback import STATE_FILE, SamplerTrainerCallback
from sampling.integrations._trainer_loss import answers_of, label_losses, logits_of, reduce_items
from sampling.samplers import (
    AdaptiveBatchSampler,
    EpochBatchSampler,
    GroupBatchSampler,
    ImportanceSampler,
    InfoBatchSampler,
    KakurenboSampler,
    LateStoppingSampler,
    RepeatFactorSampler,
    ShuffleSampler,
    SubsetSampler,
    load_state,
)

from .trainer_runs import (
    ByHand,
    CountingNet,
    N,
    Net,
    OurTrainer,
    Plain,
    X,
    Y,
    arguments,
    attempt,
    flat,
    on_two_processes,
    table,
    train,
    with_callback,
)


@pytest.fixture(autouse=True, scope="module")
def _collect_only_what_is_new():
    """The Trainer collects garbage before each run: 0.3 s over all that is imported here."""
    gc.freeze()
    yield
    gc.unfreeze()


TAGS = np.stack([np.ones(N), np.arange(N) < 3], axis=1).astype(int)


def shuffle(**options):
    return ShuffleSampler(N, seed=5, **{"num_replicas": 1, "rank": 0, **options})


def varying(**options):
    """Epochs of 25, 24, 23, 23 and 25 draws."""
    return RepeatFactorSampler(TAGS, 0.3, **{"num_replicas": 1, "rank": 0, **options})


def infobatch(**options):
    options = {"num_replicas": 1, "rank": 0, "anneal_fraction": 0.25, **options}
    return InfoBatchSampler(N, 4, seed=5, **options)


def batches(**options):
    return EpochBatchSampler(varying(**options), 4)


def groups(**options):
    """Batches of 1 to 5 samples."""
    bags = np.repeat(np.arange(9), [1, 5, 2, 4, 1, 3, 3, 2, 2])
    return GroupBatchSampler(bags, seed=5, **{"num_replicas": 1, "rank": 0, **options})


def same_end(whole, rest):
    """The resumed run dealt the end of the unbroken one, at the same rates, to equal weights."""
    assert rest.seen == whole.seen[len(whole.seen) - len(rest.seen) :]
    count = len(rest.rates)
    assert rest.rates == whole.rates[len(whole.rates) - count :]
    assert rest.epochs == pytest.approx(whole.epochs[len(whole.epochs) - count :])
    assert rest.weights == whole.weights
    assert (rest.steps, rest.max_steps) == (whole.steps, whole.max_steps)


# ---------------------------------------------------------------------- resume, one process

RUNS = {  # name -> how it runs, the sampler, and its settings
    "mixin": (train, shuffle, {"net": lambda: Net(dropout=0.3)}),
    "mixin, accumulating": (train, shuffle, {"gradient_accumulation_steps": 4, "data": table}),
    "callback": (with_callback, shuffle, {"data": table}),
    "callback, accumulating": (with_callback, shuffle, {"gradient_accumulation_steps": 2}),
    "varying": (train, varying, {"gradient_accumulation_steps": 2}),
    "batch sampler": (train, batches, {}),
    "infobatch": (train, infobatch, {"gradient_accumulation_steps": 2}),
    "adaptive": (train, lambda: AdaptiveBatchSampler(shuffle(), 3), {}),
    "groups": (train, lambda: groups(), {"gradient_accumulation_steps": 2}),
}
_unbroken = {}


def run(name, folder, **changes):
    how, sampler, settings = RUNS[name]
    made = {key: each() if callable(each) else each for key, each in settings.items()}
    return how(folder, sampler(), **{"num_train_epochs": 2, **made, **changes})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Unbroken runs with a checkpoint at every step, each run once."""

    def get(name):
        if name not in _unbroken:
            folder = tmp_path_factory.mktemp("whole")
            found = run(name, folder, save_strategy="steps", save_steps=1)
            _unbroken[name] = found, folder
        return _unbroken[name]

    yield get
    _unbroken.clear()


PLACES = {
    "in epoch 0": lambda epoch: 0 < epoch < 1,
    "end of epoch 0": lambda epoch: epoch == 1,
    "in epoch 1": lambda epoch: 1 < epoch < 2,
}
QUICK = {("mixin, accumulating", "in epoch 0", True), ("callback", "in epoch 1", True)}
QUICK |= {(name, "in epoch 1", False) for name in RUNS}
CASES = [
    pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow)
    for case in itertools.product(RUNS, PLACES, [False, True])
]


@pytest.mark.parametrize(("name", "part", "ignore_data_skip"), CASES)
def test_h5_a_resumed_run_is_the_unbroken_one(unbroken, tmp_path, name, part, ignore_data_skip):
    whole, folder = unbroken(name)
    step = 1 + next(at for at, epoch in enumerate(whole.epochs) if PLACES[part](epoch))
    checkpoint = folder / f"checkpoint-{step}"
    changes = {"resume": checkpoint, "ignore_data_skip": ignore_data_skip}
    if name.startswith("callback"):
        changes["resume_from_checkpoint"] = str(checkpoint)
    rest = run(name, tmp_path, **changes)
    assert len(rest.rates) == whole.steps - step
    same_end(whole, rest)


@pytest.mark.parametrize("name", RUNS)
def test_the_unbroken_run_deals_the_samplers_epochs(unbroken, name):
    whole, _ = unbroken(name)
    if name == "infobatch":
        return  # its epochs depend on the losses; see below
    sampler = RUNS[name][1]()
    assert flat(whole.seen) == [i for epoch in range(2) for i in sampler.indices(epoch).tolist()]


def test_a_static_sampler_resumes_from_a_checkpoint_without_its_file(unbroken, tmp_path):
    whole, folder = unbroken("varying")
    (folder / "checkpoint-5" / STATE_FILE).rename(folder / "aside")
    try:
        rest = run("varying", tmp_path, resume=folder / "checkpoint-5")
    finally:
        (folder / "aside").rename(folder / "checkpoint-5" / STATE_FILE)
    same_end(whole, rest)


def test_a_pruner_refuses_a_checkpoint_without_its_file_or_with_another(unbroken, tmp_path):
    _, folder = unbroken("infobatch")
    path = folder / "checkpoint-4" / STATE_FILE
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-7])
        with pytest.raises(StateError, match="whole file of save_state"):
            run("infobatch", tmp_path, resume=path.parent)
        path.write_bytes(whole)
        save_file(load_file(path), path)
        with pytest.raises(StateError, match="must be a file of save_state"):
            run("infobatch", tmp_path, resume=path.parent)
        path.unlink()
        with pytest.raises(StateError, match="must exist to resume a InfoBatchSampler"):
            run("infobatch", tmp_path, resume=path.parent)
    finally:
        path.write_bytes(whole)
    other = InfoBatchSampler(N, 4, seed=6)
    with pytest.raises(StateError, match="seed"):
        train(tmp_path, other, resume=path.parent, gradient_accumulation_steps=2)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(2, 2), (8, 1), (3, 1)])
def test_another_batch_size_takes_up_the_very_next_sample(
    unbroken, tmp_path, batch_size, accumulate
):
    whole, folder = unbroken("mixin")
    rest = train(
        tmp_path,
        shuffle(),
        resume=folder / "checkpoint-8",
        num_train_epochs=2,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
    )
    assert flat(rest.seen) == flat(whole.seen[8:])
    assert rest.epoch == 2.0


def test_a_finished_run_trains_no_more(tmp_path):
    changes = {"num_train_epochs": 1.5, "save_strategy": "steps", "save_steps": 50}
    whole = train(tmp_path, varying(), **changes)
    assert whole.steps == 7 + 3
    again = train(tmp_path, varying(), resume=tmp_path / "checkpoint-10", **changes)
    assert (again.seen, again.steps) == ([], 10)


def test_save_only_model_keeps_the_samplers_state_too(tmp_path):
    changes = {"save_strategy": "epoch", "num_train_epochs": 1}
    train(tmp_path, infobatch(), save_only_model=True, **changes)
    sampler = infobatch()
    load_state(sampler, tmp_path / "checkpoint-6" / STATE_FILE)
    assert (sampler.epoch, sampler.remaining) == (0, 0)
    assert not np.isnan(sampler.scores).any()


def test_training_twice_in_one_process_starts_over(tmp_path):
    sampler = infobatch()
    first = train(tmp_path, sampler, num_train_epochs=1)
    again = train(tmp_path, sampler, num_train_epochs=1)
    assert first.seen == again.seen


# ---------------------------------------------------------------------- epochs of several lengths


def steps_of(sampler, epochs, accumulate=1, batch_size=4):
    lengths = [math.ceil(sampler.length(epoch) / batch_size) for epoch in range(epochs)]
    return [math.ceil(length / accumulate) for length in lengths]


@pytest.mark.parametrize("accumulate", [1, 3])
def test_h6_max_steps_is_the_sum_and_the_schedule_ends_with_it(tmp_path, accumulate):
    sampler = varying()
    steps = steps_of(sampler, 5, accumulate)
    assert steps[0] > steps[1] < steps[4]
    found = train(tmp_path, sampler, num_train_epochs=5, gradient_accumulation_steps=accumulate)
    assert found.max_steps == found.steps == sum(steps)
    assert found.rates == pytest.approx(
        [0.1 * (1 - k / sum(steps)) for k in range(1, sum(steps) + 1)]
    )
    assert flat(found.seen) == [i for epoch in range(5) for i in sampler.indices(epoch).tolist()]
    ends = np.cumsum(steps) - 1
    assert [found.epochs[end] for end in ends] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("epochs", [3, 2.5])
@pytest.mark.parametrize("kind", ["linear", "cosine", "constant_with_warmup"])
def test_h6_an_estimate_of_the_steps_is_mended_as_epochs_begin(tmp_path, kind, epochs):
    sampler = InfoBatchSampler(N, 3, seed=1, anneal_fraction=0)
    planned = []

    class Watch(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            planned.append((int(state.epoch), state.max_steps))

    found = train(
        tmp_path,
        sampler,
        num_train_epochs=epochs,
        lr_scheduler_type=kind,
        per_device_train_batch_size=1,
        warmup_steps=3 if "warmup" in kind else 0,
        extra={"callbacks": [Watch()]},
    )
    assert len({steps for _, steps in planned}) > 1  # the first plan was wrong
    assert planned[0][1] != found.steps
    assert found.steps == found.max_steps == len(found.seen)
    assert found.epoch == pytest.approx(epochs, abs=0.05)
    if kind == "constant_with_warmup":
        assert found.rates[-1] == pytest.approx(0.1)
        assert found.rates[0] < found.rates[5]
    else:
        assert found.rates[-1] == pytest.approx(0, abs=1e-9)
        assert found.rates[-2] > 0
        assert sorted(found.rates, reverse=True) == found.rates


def test_h6_a_batch_size_that_changes_between_epochs(tmp_path):
    sampler = AdaptiveBatchSampler(shuffle(), 2)

    class Grow(TrainerCallback):
        def on_epoch_end(self, args, state, control, **kwargs):
            sampler.set_batch_size(4)

    changes = {"save_strategy": "steps", "save_steps": 1, "extra": {"callbacks": [Grow()]}}
    found = train(tmp_path / "whole", sampler, **changes)
    assert [len(batch) for batch in found.seen[10:14]] == [2, 1, 4, 4]
    assert found.steps == found.max_steps == 12 + 6 + 6
    assert found.rates[-1] == pytest.approx(0)
    assert found.epochs[11] == 1.0
    changes["extra"] = {"callbacks": [Grow()]}
    sampler = AdaptiveBatchSampler(shuffle(), 2)
    same_end(found, train(tmp_path, sampler, resume=tmp_path / "whole/checkpoint-15", **changes))


def test_h6_a_batch_size_that_changes_within_an_epoch_is_refused(tmp_path):
    sampler = AdaptiveBatchSampler(shuffle(), 2)

    class Grow(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            sampler.set_batch_size(4)

    with pytest.raises(ValueError, match="batch_size must stay 2 until the end of the epoch"):
        train(tmp_path, sampler, extra={"callbacks": [Grow()]})


def test_h6_given_max_steps_hold(tmp_path):
    sampler = varying()
    found = train(tmp_path, sampler, max_steps=17)
    assert found.steps == found.max_steps == 17
    assert found.rates[-1] == pytest.approx(0)
    assert (
        flat(found.seen)
        == [i for e in range(3) for i in sampler.indices(e).tolist()][: len(flat(found.seen))]
    )
    pruned = train(tmp_path, infobatch(), max_steps=14)
    assert (pruned.steps, pruned.rates[-1]) == (14, pytest.approx(0))


def test_the_callback_alone_refuses_epochs_of_several_lengths(tmp_path):
    with pytest.raises(ValueError, match="epochs must be equally long without SamplerTrainerMixin"):
        with_callback(tmp_path, varying())
    with pytest.raises(ValueError, match="epochs must be equally long"):
        with_callback(tmp_path, infobatch())


def test_the_callback_alone_refuses_to_leave_out_the_last_step(tmp_path):
    with_callback(
        tmp_path, shuffle(), gradient_accumulation_steps=4, save_strategy="steps", save_steps=1
    )
    with pytest.raises(ValueError, match="ignore_data_skip must be False for 6 batches"):
        with_callback(
            tmp_path,
            shuffle(),
            gradient_accumulation_steps=4,
            resume=tmp_path / "checkpoint-3",
            ignore_data_skip=True,
        )


def test_the_callback_must_have_the_loaders_sampler(tmp_path):
    with pytest.raises(ValueError, match="must have the sampler that SamplerTrainerCallback was"):
        train(
            tmp_path,
            shuffle(),
            cls=ByHand,
            extra={"callbacks": [SamplerTrainerCallback(shuffle())]},
        )
    with pytest.raises(TypeError, match="sampler must be one of this package, got RandomSampler"):
        SamplerTrainerCallback(torch.utils.data.RandomSampler(range(3)))


# ---------------------------------------------------------------------- the loss and its gradient


def gradients(folder, sampler, **changes):
    """Weights before the first step minus after it, at rate 1: the gradient of that step."""
    before = Net().linear.weight.detach()
    found = train(folder, sampler, learning_rate=1.0, max_steps=1, **changes)
    return (before - torch.tensor(found.weights)).numpy(), flat(found.seen)


def full_batch(indices, weights=None):
    """The gradient of the weighted sum of losses over the number of samples."""
    net = Net()
    losses = functional.cross_entropy(net.linear(X[indices]), Y[indices], reduction="none")
    losses = losses if weights is None else losses * torch.as_tensor(weights)
    (losses.sum() / len(indices)).backward()
    return net.linear.weight.grad.numpy()


@pytest.mark.parametrize("net", [Net, CountingNet])
@pytest.mark.parametrize(("batch_size", "accumulate"), [(4, 1), (5, 3), (7, 4), (4, 6)])
def test_the_gradient_is_that_of_the_whole_step(tmp_path, net, batch_size, accumulate):
    changes = {"gradient_accumulation_steps": accumulate, "per_device_train_batch_size": batch_size}
    found, seen = gradients(tmp_path, shuffle(), net=net(), **changes)
    assert len(seen) == min(N, batch_size * accumulate)
    assert found == pytest.approx(full_batch(seen), rel=1e-4, abs=1e-6)
    if net is CountingNet or N >= batch_size * accumulate:  # or a short micro-batch has a mean too
        plain, again = gradients(tmp_path, shuffle(), net=net(), cls=ByHand, **changes)
        assert again == seen
        assert found == pytest.approx(plain, rel=1e-4, abs=1e-6)


def test_every_step_of_a_run_is_the_plain_trainers(tmp_path):
    changes = {"gradient_accumulation_steps": 4, "data": table()}
    ours = train(tmp_path, shuffle(), net=CountingNet(), **changes)
    plain = train(tmp_path, shuffle(), net=CountingNet(), cls=ByHand, **changes)
    # a plain Trainer on one process delivers the epochs by itself
    assert ours.seen == plain.seen
    assert np.array(ours.weights) == pytest.approx(np.array(plain.weights), rel=1e-4, abs=1e-6)


def test_weights_of_the_sampler_multiply_the_losses(tmp_path):
    weights = 1.0 + np.arange(N) % 3
    sampler = SubsetSampler(Selection(np.arange(N), weights=weights), num_replicas=1)
    changes = {"gradient_accumulation_steps": 6, "label_smoothing_factor": 0.0}
    found, seen = gradients(tmp_path, sampler, **changes)
    expected = full_batch(seen, sampler.weights_for(np.array(seen)))
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def llama():
    config = LlamaConfig(
        vocab_size=17,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        use_cache=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return LlamaForCausalLM(config)


class Texts(Plain):
    """Sequences of 9 tokens, of which the last 0 to 5 are padding that counts for nothing."""

    def __getitem__(self, index):
        tokens = (torch.arange(9) * (index + 3)) % 17
        labels = torch.where(torch.arange(9) < 9 - index % 6, tokens, -100)
        return {"input_ids": tokens, "labels": labels}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_tokens_of_a_causal_language_model_count_alike(tmp_path, smoothing):
    """Ours and the plain Trainer take the same steps; what is recorded is a mean per sequence."""
    changes = {
        "gradient_accumulation_steps": 3,
        "num_train_epochs": 1,
        "data": Texts(),
        "label_smoothing_factor": smoothing,
    }
    sampler = InfoBatchSampler(N, 4, seed=5)
    ours, plain = llama(), llama()
    trainer = train(tmp_path, sampler, net=with_seen(ours), **changes).trainer
    train(tmp_path, InfoBatchSampler(N, 4, seed=5), net=with_seen(plain), cls=ByHand, **changes)
    moved = 0.0
    for one, two, first in zip(
        ours.parameters(), plain.parameters(), llama().parameters(), strict=True
    ):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-6)
        moved += (one - first).abs().sum().item()
    assert moved > 0.1
    assert np.isfinite(sampler.scores).all()
    assert 2.0 < sampler.scores.mean() < 4.0  # log(17) = 2.8: of a token, not of a sequence
    del trainer


def with_seen(net):
    net.seen = []
    return net


class Tagger(Net):
    """One prediction for all three tokens of a sample."""

    def forward(self, x, labels=None):
        self.seen.append(x[:, 0].int().tolist())
        logits = self.linear(x[:, 1:])[:, None, :].expand(-1, labels.shape[1], -1)
        return (logits.sum(), logits)


class CountingTagger(Tagger):
    def forward(self, x, labels=None, **kwargs):
        return super().forward(x, labels)


class Tagged(Plain):
    """One, two or three labels; the others count for nothing."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        labels = torch.full((3,), int(sample["labels"]))
        labels[1 + index % 3 :] = -100
        return {"x": sample["x"], "labels": labels}


@pytest.mark.parametrize("net", [Tagger, CountingTagger])
def test_tokens_count_alike_where_the_trainer_does_not_count(tmp_path, net):
    found, seen = gradients(
        tmp_path, shuffle(), net=net(), data=Tagged(), gradient_accumulation_steps=6
    )
    tokens = 1.0 + np.array(seen) % 3
    expected = full_batch(seen, tokens / tokens.mean())
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


class SampleMeans(OurTrainer):
    def per_sample_loss(self, model, inputs, outputs):
        assert "sample_index" not in inputs
        return super().per_sample_loss(model, inputs, outputs)[0]


@pytest.mark.parametrize("net", [Tagger, CountingTagger])
def test_an_overridden_loss_is_a_mean_over_samples(tmp_path, net):
    changes = {"gradient_accumulation_steps": 6, "net": net(), "data": Tagged()}
    found, seen = gradients(tmp_path, shuffle(), cls=SampleMeans, **changes)
    assert found == pytest.approx(full_batch(seen), rel=1e-4, abs=1e-6)


def test_reduce_items_is_reduce_of_the_items_written_out():
    weights = 1.0 + np.arange(10) % 3
    for nonfinite in ("propagate", "drop"):
        sampler = SubsetSampler(Selection(np.arange(10), weights=weights), nonfinite=nonfinite)
        values = torch.tensor([1.0, float("inf"), 3.0, 4.0])
        losses = (values if nonfinite == "drop" else values.clamp(max=2.0)).requires_grad_()
        rows, items = torch.tensor([0, 1, 2, 5]), torch.tensor([2, 3, 0, 1])
        written = torch.repeat_interleave(torch.arange(4), items)
        ours = reduce_items(sampler, losses, rows, items, torch.tensor(6))
        (grad,) = torch.autograd.grad(ours, losses)
        expected = sampler.reduce(losses[written], rows[written], denominator=6.0)
        (wanted,) = torch.autograd.grad(expected, losses)
        assert ours.item() == pytest.approx(expected.item())
        assert torch.allclose(grad, wanted)
        assert sampler.num_nonfinite == (4 if nonfinite == "drop" else 0)  # 1 and 3 times


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ((4, 3), torch.zeros(4), "labels must be class numbers"),
        ((4, 2, 2, 2), torch.zeros(4, dtype=torch.long), "labels must be class numbers"),
        ((4, 5, 3), torch.zeros(4, dtype=torch.long), "labels must be one for each row of logits"),
    ],
)
def test_label_losses_say_what_they_cannot_do(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        label_losses(torch.zeros(logits), labels, shift=False, smoothing=0.0)


ANSWERS = {  # logits, labels -> the shape of the labels that `reduce` gets
    "classes": ((4, 3), torch.zeros(4, dtype=torch.long), (4,)),
    "a column": ((4, 3), torch.zeros(4, 1, dtype=torch.long), (4,)),
    "several classes": ((4, 3), torch.zeros(4, 3), (4, 3)),
    "tokens": ((4, 2, 3), torch.zeros(4, 2, dtype=torch.long), None),
    "one output": ((4, 1), torch.zeros(4), (4,)),
    "none": ((4, 3), None, None),
}


@pytest.mark.parametrize(("logits", "labels", "shape"), ANSWERS.values(), ids=ANSWERS)
def test_the_sampler_is_told_the_answers_where_there_are_any(logits, labels, shape):
    given = torch.zeros(logits)
    found, answers = answers_of({"logits": given}, labels, 4)
    if shape is None:
        assert (found, answers) == (None, None)
    else:
        assert found is given
        assert answers.shape == shape
    assert answers_of({"loss": torch.tensor(1.0)}, labels, 4) == (None, None)


SIGNALS = {
    "kakurenbo": lambda: KakurenboSampler(N, 6, keep=0.7, confidence=0.0),
    "late stopping": lambda: LateStoppingSampler(N, 6, keep=0.2, rounds=(1,), warm_up=0),
    "importance": lambda: ImportanceSampler(N, 6, signal="gradient_norm"),
    "in batches": lambda: EpochBatchSampler(ImportanceSampler(N, 6, signal="gradient_norm"), 4),
}


@pytest.mark.parametrize("make", SIGNALS.values(), ids=SIGNALS)
def test_samplers_that_learn_from_logits_do_so_in_the_trainer(tmp_path, make):
    sampler = make()
    train(tmp_path, sampler, num_train_epochs=6)
    inner = getattr(sampler, "sampler", sampler)
    if isinstance(inner, LateStoppingSampler):
        assert inner.finished
        assert inner.kept.size < N
    elif isinstance(inner, ImportanceSampler):
        assert np.nanmax(inner.scores) <= np.sqrt(2)  # of the last-layer bound; losses have none
        assert not np.isnan(inner.scores).any()
    else:
        assert inner.state_dict()["epoch"] == 5


def test_logits_are_found_in_what_models_return():
    logits = torch.zeros(4, 3)
    for outputs in (logits, {"logits": logits}, (torch.tensor(1.0), logits), (logits,)):
        assert logits_of(outputs) is logits
    for outputs in ({"loss": torch.tensor(1.0)}, (torch.tensor(1.0),), None):
        with pytest.raises(ValueError, match="the model must return logits"):
            logits_of(outputs)


# ---------------------------------------------------------------------- the index on its way


@pytest.mark.parametrize("remove", [True, False])
@pytest.mark.parametrize("data", [Plain, table])
def test_indices_pass_any_dataset_and_collator_and_miss_the_model(tmp_path, data, remove):
    recorded = {}

    class Watched(OurTrainer):
        def per_sample_loss(self, model, inputs, outputs):
            recorded["names"] = set(inputs)
            return super().per_sample_loss(model, inputs, outputs)

    def collate(samples):
        recorded["columns"] = set(samples[0])
        return {name: torch.stack([each[name] for each in samples]) for name in ("x", "labels")}

    sampler = infobatch()
    found = train(
        tmp_path,
        sampler,
        cls=Watched,
        data=data(),
        num_train_epochs=1,
        remove_unused_columns=remove,
        eval_strategy="epoch",
        extra={"data_collator": collate, "eval_dataset": data()},
    )
    assert recorded["names"] == {"x", "labels"}
    assert ("note" in recorded["columns"]) is not remove
    assert not np.isnan(sampler.scores).any()
    assert found.steps == 6
    if data is table:  # a column that nobody needs is not even read
        columns = found.trainer.get_train_dataloader().dataset.column_names
        assert ("note" in columns) is not remove


def test_an_indexed_dataset_is_taken_as_it_is(tmp_path):
    plain = train(tmp_path, shuffle(), num_train_epochs=1)
    for data in (Indexed(Plain()), Indexed(Plain(), key="row")):
        assert train(tmp_path, shuffle(), data=data, num_train_epochs=1).seen == plain.seen


def test_workers_and_drop_last(tmp_path):
    found = train(
        tmp_path, shuffle(), dataloader_num_workers=1, dataloader_drop_last=True, num_train_epochs=2
    )
    sampler = shuffle()
    assert flat(found.seen) == [i for e in range(2) for i in sampler.indices(e)[:20].tolist()]
    assert found.epoch == 2


def test_a_clash_of_names_is_refused(tmp_path):
    with pytest.raises(ValueError, match="index_key must be a name that batches do not have"):
        train(tmp_path, shuffle(), extra={"index_key": "x"})
    with pytest.raises(TypeError, match="data_collator must return a mapping to keep the index"):
        train(tmp_path, shuffle(), extra={"data_collator": list})


# ---------------------------------------------------------------------- refused


def stream():
    return table().with_format(None).to_iterable_dataset()


@pytest.mark.parametrize(
    ("sampler", "extra", "message"),
    [
        (ShuffleSampler(24), {}, "train_sampler must be made for the 23 samples"),
        (shuffle(), {"compute_loss_func": print}, "compute_loss_func must not be given"),
        (torch.utils.data.RandomSampler(range(3)), {}, "sampler must be one of this package"),
        (shuffle(), {"train_dataset": stream()}, "must be map-style, with a"),
    ],
)
def test_what_cannot_work_is_refused_at_once(tmp_path, sampler, extra, message):
    extra = {"train_sampler": sampler, "train_dataset": Plain(), **extra}
    with pytest.raises((ValueError, TypeError), match=message):
        OurTrainer(Net(), arguments(tmp_path, max_steps=3), **extra)


def test_dispatching_is_refused(tmp_path):
    with pytest.raises(ValueError, match="dispatch_batches must be False, got True"):
        train(tmp_path, shuffle(), accelerator_config={"dispatch_batches": True})


def test_a_sampler_for_more_ranks_than_there_are_is_refused(tmp_path):
    with pytest.raises(ValueError, match="num_replicas and rank must be 1 and 0"):
        train(tmp_path, shuffle(num_replicas=2, rank=1))


def test_labels_are_needed_or_an_own_loss(tmp_path):
    class Unlabelled(Plain):
        def __getitem__(self, index):
            return {"x": super().__getitem__(index)["x"]}

    class Silent(Net):
        def forward(self, x):
            return {"logits": self.linear(x[:, 1:])}

    with pytest.raises(ValueError, match="inputs must have labels, or per_sample_loss be overr"):
        train(tmp_path, shuffle(), net=Silent(), data=Unlabelled())


def test_the_mixin_needs_a_trainer_that_says_how_losses_are_scaled():
    class Old:
        pass

    class Mixed(SamplerTrainerMixin, Old):
        def __init__(self):
            self.train_sampler = shuffle()
            self._refuse()

    with pytest.raises(RuntimeError, match=r"needs transformers 5\.20 or newer"):
        Mixed()


# ---------------------------------------------------------------------- two processes

PAIRS = {  # name -> how it runs, the sampler on a rank, and its settings
    "mixin": (train, lambda rank: shuffle(), {"net": lambda: Net(dropout=0.3)}),
    "mixin, accumulating": (train, lambda rank: shuffle(), {"gradient_accumulation_steps": 3}),
    "callback": (with_callback, lambda rank: shuffle(), {}),
    "callback, accumulating": (
        with_callback,
        lambda rank: shuffle(),
        {"gradient_accumulation_steps": 2},
    ),
    "infobatch": (train, lambda rank: infobatch(), {}),
    "dealing to ranks": (train, lambda rank: shuffle(num_replicas=2, rank=rank), {}),
    "batch sampler": (train, lambda rank: batches(num_replicas=2, rank=rank), {}),
    "groups": (train, lambda rank: groups(), {"gradient_accumulation_steps": 2}),
}


PARTS = ["in epoch 0", "in epoch 1"]


def run_pair(name, rank, folder, **changes):
    how, sampler, settings = PAIRS[name]
    made = {key: each() if callable(each) else each for key, each in settings.items()}
    fixed = {"num_train_epochs": 2, "per_device_train_batch_size": 3, "ddp_backend": "gloo"}
    sampler = sampler(rank)
    found = attempt(how, folder, sampler, **{**fixed, **made, **changes})
    if sampler.dynamic and not isinstance(found, str):
        found.scores = sampler.scores.tolist()
    return found


def pairs(rank, folder):
    """All runs of one of two processes, for the tests below."""
    gc.collect()
    gc.freeze()
    found = {}
    for name in PAIRS:
        home = folder / name
        whole = run_pair(name, rank, home, save_strategy="steps", save_steps=1)
        found[name] = {"whole": whole}
        if isinstance(whole, str):
            continue
        for part, ignore in itertools.product(PARTS, [False, True]):
            step = 1 + next(at for at, epoch in enumerate(whole.epochs) if PLACES[part](epoch))
            changes = {"resume": home / f"checkpoint-{step}", "ignore_data_skip": ignore}
            changes["resume_from_checkpoint"] = str(changes["resume"])
            if name == "infobatch":  # saving brings the scores of the processes together
                changes |= {"save_strategy": "steps", "save_steps": 1}
            found[name][part, ignore] = run_pair(name, rank, folder / "rest", **changes)
    dealing = shuffle(num_replicas=2, rank=rank)
    callback = SamplerTrainerCallback(dealing)
    found["sharded twice"] = attempt(
        train, folder / "no", dealing, cls=ByHand, extra={"callbacks": [callback]}
    )
    found["other rank"] = attempt(train, folder / "no", shuffle(num_replicas=2, rank=1 - rank))
    uneven = shuffle(num_replicas=2, rank=rank, pad=False)
    found["uneven"] = attempt(train, folder / "no", uneven, per_device_train_batch_size=1)
    found["gradients"] = {}
    for average, net, cls, even in STEPS:
        settings = {"average_tokens_across_devices": average, "gradient_accumulation_steps": 8}
        sampler = shuffle() if even else shuffle(num_replicas=2, rank=rank, pad=False)
        found["gradients"][average, net, cls, even] = attempt(
            gradients, folder / "no", sampler, net=net(), cls=cls, **settings
        )
    return found


# average_tokens_across_devices, the model, the Trainer, and whether all ranks have as many samples
STEPS = [
    *itertools.product([True, False], [Net, CountingNet], [OurTrainer], [True, False]),
    (True, CountingNet, ByHand, True),
    (False, CountingNet, ByHand, True),
]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return folder, on_two_processes(pairs, folder)


@pytest.mark.full
@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("ignore_data_skip", [False, True])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", PAIRS)
def test_h5_two_processes_resume_as_one_does(two_processes, name, part, ignore_data_skip):
    for found in two_processes[1]:
        whole, rest = found[name]["whole"], found[name][part, ignore_data_skip]
        assert not isinstance(whole, str), whole
        assert not isinstance(rest, str), rest
        assert 0 < len(rest.rates) < whole.steps
        same_end(whole, rest)
        assert getattr(rest, "scores", 0) == getattr(whole, "scores", 0)


@pytest.mark.full
@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_two_processes_deal_the_samplers_epochs(two_processes, name):
    one, two = (found[name]["whole"].seen for found in two_processes[1])
    sampler = PAIRS[name][1](0)
    order = flat(flat(zip(one, two, strict=True)))
    if name == "dealing to ranks":
        order = flat(zip(flat(one), flat(two), strict=True))
    epochs = 1 if sampler.dynamic else 2
    for epoch in range(epochs):
        whole = sampler.indices(epoch).tolist()
        assert order[: len(whole)] == whole
        later = sampler.indices(1).tolist() if epochs == 2 else []
        ahead = order[len(whole) :]
        while epoch == 0 and later and ahead[: len(later)] != later:
            assert ahead.pop(0) in whole  # completes the last round
        order = ahead


@pytest.mark.full
@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixin", "infobatch", "batch sampler", "groups"])
def test_one_process_takes_up_what_two_left(two_processes, tmp_path, name):
    """Twice the accumulation instead of twice the processes: the same steps and samples."""
    folder, found = two_processes
    accumulate = PAIRS[name][2].get("gradient_accumulation_steps", 1)
    one, two = (each[name]["whole"] for each in found)
    step = 1 + next(at for at, epoch in enumerate(one.epochs) if 1 < epoch < 2)
    own = {"batch sampler": batches, "groups": groups, "infobatch": infobatch}
    sampler = own.get(name, shuffle)()
    rest = train(
        tmp_path,
        sampler,
        resume=folder / name / f"checkpoint-{step}",
        num_train_epochs=2,
        per_device_train_batch_size=3,
        gradient_accumulation_steps=2 * accumulate,
    )
    in_epoch_0 = 1 + one.epochs.index(1)
    taken = step if accumulate == 1 else len(one.seen) // 2 + (step - in_epoch_0) * accumulate
    expected = flat(flat(zip(one.seen[taken:], two.seen[taken:], strict=True)))
    after = flat(rest.seen)
    assert after == expected[: len(after)]
    epoch_1 = sampler.indices(1).tolist()
    assert after == epoch_1[len(epoch_1) - len(after) :]
    assert set(expected[len(after) :]) <= set(epoch_1[:8])  # what completed the last round
    assert (rest.steps, rest.rates) == (one.steps, one.rates[step:])


@pytest.mark.full
@pytest.mark.distributed
@pytest.mark.slow
def test_h2_ranks_of_ours_are_refused_where_the_trainer_deals(two_processes):
    for rank, found in enumerate(two_processes[1]):
        assert "must be 1 where accelerate shards the batches" in found["sharded twice"]
        assert f"or 2 and {rank} as accelerate has them" in found["other rank"]
        assert "must have the same number of batches, got 11 to 12 in epoch 0" in found["uneven"]


@pytest.mark.full
@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("case", STEPS, ids=str)
def test_the_gradient_is_that_of_all_processes(two_processes, case):
    average, net, cls, even = case
    (one, seen), (two, more) = (found["gradients"][case] for found in two_processes[1])
    assert one == pytest.approx(two)
    assert len(seen) == len(more) or not even
    expected = full_batch([*seen, *more])
    if not (average or even or net is Net):  # the mean of the processes' means, as was asked for
        expected = (full_batch(seen) + full_batch(more)) / 2
    assert one == pytest.approx(expected, rel=1e-4, abs=1e-6)
