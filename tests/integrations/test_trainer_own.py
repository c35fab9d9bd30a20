"""What a user wrote for a plain Trainer is used by the mixin, or refused, and never passed over."""

import copy
import types

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import Trainer

from sampling.integrations._trainer import SamplerTrainerMixin
from sampling.integrations._trainer_loss import answers_of, label_losses, logits_of, problem_of
from sampling.samplers import KakurenboSampler, ShuffleSampler

from .trainer_runs import N, Net, OurTrainer, Plain, X, arguments, train, with_callback


def shuffle():
    return ShuffleSampler(N, seed=1, num_replicas=1)


class WeightedLoss(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        raise AssertionError("never called")


class OwnSampler(Trainer):
    def _get_train_sampler(self, train_dataset=None):
        raise AssertionError("never called")


class OwnLoader(Trainer):
    def get_train_dataloader(self):
        raise AssertionError("never called")


class OwnPerSample(Trainer):
    def per_sample_loss(self, model, inputs, outputs):
        raise AssertionError("never called")


class Behind(SamplerTrainerMixin, WeightedLoss):
    pass


class FarBehind(SamplerTrainerMixin, type("Between", (WeightedLoss,), {})):
    pass


class Leaf(OurTrainer):
    compute_loss = WeightedLoss.compute_loss


class Front(type("Mixed", (), {"compute_loss": WeightedLoss.compute_loss}), OurTrainer):
    pass


class SamplerBehind(SamplerTrainerMixin, OwnSampler):
    pass


class SamplerLeaf(OurTrainer):
    _get_train_sampler = OwnSampler._get_train_sampler


class LoaderBehind(SamplerTrainerMixin, OwnLoader):
    pass


class PerSampleBehind(SamplerTrainerMixin, OwnPerSample):
    pass


class OtherScale(OurTrainer):
    loss_is_scaled_for_ga = False


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Behind, "got WeightedLoss.compute_loss, .* from per_sample_loss"),
        (FarBehind, "got WeightedLoss.compute_loss, .* from per_sample_loss"),
        (Leaf, "got Leaf.compute_loss, .* from per_sample_loss"),
        (Front, "got Mixed.compute_loss, .* from per_sample_loss"),
        (SamplerBehind, "got OwnSampler._get_train_sampler, .* as train_sampler"),
        (SamplerLeaf, "got SamplerLeaf._get_train_sampler, .* as train_sampler"),
        (LoaderBehind, "got OwnLoader.get_train_dataloader, .*before SamplerTrainerMixin"),
        (PerSampleBehind, "got OwnPerSample.per_sample_loss, .*before SamplerTrainerMixin"),
        (OtherScale, "loss_is_scaled_for_ga must be True, got False"),
    ],
)
def test_what_would_be_passed_over_is_refused_at_construction(tmp_path, cls, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, shuffle(), cls=cls)


def made(folder, cls=OurTrainer, net=None, **changes):
    sampler = changes.pop("sampler", shuffle())
    return cls(
        net or Net(),
        arguments(folder, num_train_epochs=1, **changes),
        train_dataset=Plain(),
        train_sampler=sampler,
    )


def test_a_method_of_the_object_is_found_when_training_begins(tmp_path):
    trainer = made(tmp_path)
    trainer.compute_loss = types.MethodType(WeightedLoss.compute_loss, trainer)
    with pytest.raises(ValueError, match="got compute_loss of this OurTrainer"):
        trainer.train()


def test_whoever_says_so_passes_a_class_over(tmp_path):
    class Chosen(SamplerTrainerMixin, WeightedLoss):
        compute_loss = SamplerTrainerMixin.compute_loss

    made(tmp_path, Chosen).train()


class Calling(OurTrainer):
    """Overrides that call what they override."""

    steps = 0

    def training_step(self, *args, **kwargs):
        self.steps += 1
        return super().training_step(*args, **kwargs)

    def get_train_dataloader(self):
        return super().get_train_dataloader()


def test_overrides_that_call_what_they_override_train(tmp_path):
    trainer = made(tmp_path, Calling)
    trainer.train()
    assert trainer.steps == trainer.state.global_step == 6


class Swallowing(Net):
    def forward(self, x, labels=None, **rest):
        return super().forward(x, labels)


class OwnStep(OurTrainer):
    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = model(**inputs)["loss"]
        loss.backward()
        return loss.detach()


class WithoutIndices(OurTrainer):
    def get_train_dataloader(self):
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, 4, sampler=self.train_sampler)
        )


class PlainLoader(OurTrainer):
    def get_train_dataloader(self):
        return Trainer.get_train_dataloader(self)


def test_a_loader_of_samples_without_indices_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"pairs of sampling.Indexed, got dict: call super"):
        made(tmp_path, PlainLoader).train()


class OtherSampler(OurTrainer):
    def get_train_dataloader(self):
        return self.accelerator.prepare(DataLoader(self.train_dataset, 4, sampler=shuffle()))


def test_a_loader_with_another_sampler_is_refused(tmp_path):
    message = "must have train_sampler, a ShuffleSampler, got ShuffleSampler: take it from super"
    with pytest.raises(ValueError, match=message):
        made(tmp_path, OtherSampler).train()


@pytest.mark.parametrize("cls", [OwnStep, WithoutIndices])
def test_a_step_that_misses_the_sampler_is_refused_before_it_is_made(tmp_path, cls):
    net = Swallowing()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"every batch must reach .*compute_loss.*got 0 of 1"):
        made(tmp_path, cls, net).train()
    assert all(torch.equal(before[name], each) for name, each in net.state_dict().items())


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize("strategy", ["group_by_length", "sequential"])
def test_an_order_of_the_arguments_is_refused(tmp_path, strategy):
    match = f"train_sampling_strategy must be 'random', got '{strategy}'.*TokenBudgetBatchSampler"
    with pytest.raises(ValueError, match=match):
        made(tmp_path, train_sampling_strategy=strategy)
    with pytest.raises(ValueError, match=match):
        with_callback(tmp_path, shuffle(), train_sampling_strategy=strategy)


def test_another_seed_of_the_data_is_refused(tmp_path):
    made(tmp_path, data_seed=1)
    with pytest.raises(ValueError, match="data_seed must be None, or .* train_sampler, 1, got 2"):
        made(tmp_path, data_seed=2)


# ---------------------------------------------------------------------- losses


class WeightedPerSample(OurTrainer):
    def per_sample_loss(self, model, inputs, outputs):
        weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
        return F.cross_entropy(outputs["logits"], inputs["labels"], weight, reduction="none")


def test_an_own_loss_is_that_of_evaluation_too(tmp_path):
    trainer = made(tmp_path, WeightedPerSample, per_device_eval_batch_size=N)
    found = trainer.evaluate(Plain())["eval_loss"]
    with torch.no_grad():
        logits = trainer.model.linear(X)
        own = trainer.per_sample_loss(None, {"labels": torch.arange(N) % 4}, {"logits": logits})
    assert found == pytest.approx(float(own.mean()), rel=1e-5)


class OwnLossInside(Net):
    def forward(self, x, labels=None):
        found = super().forward(x, labels)
        return {**found, "loss": 2 * found["loss"]}


def test_a_model_with_a_loss_of_its_own_is_warned_about_once(tmp_path):
    with pytest.warns(UserWarning, match="override per_sample_loss to train with its own") as seen:
        made(tmp_path, net=OwnLossInside()).train()
    assert len(seen) == 1


Z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
SEVERAL = (Z > 0.2).float()
ONES = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
NUMBERS = torch.tensor([0.3, -1.0, 2.5, 7.0, 0.0])


@pytest.mark.parametrize(
    ("logits", "labels", "problem", "loss"),
    [
        (Z, SEVERAL, "multi_label_classification", F.binary_cross_entropy_with_logits),
        (Z, SEVERAL, None, F.binary_cross_entropy_with_logits),
        (Z[:, :1], ONES[:, None], "multi_label_classification", F.binary_cross_entropy_with_logits),
        (Z, Z.flip(0), "regression", F.mse_loss),
        (Z[:, :1], NUMBERS, "regression", F.mse_loss),
        (Z[:, 0], NUMBERS[:, None], "regression", F.mse_loss),
        (Z[:, :1], ONES[:, None], None, F.binary_cross_entropy_with_logits),
        (Z[:, :1], ONES, None, F.binary_cross_entropy_with_logits),
        (Z[:, 0], ONES.long(), "single_label_classification", F.binary_cross_entropy_with_logits),
    ],
)
def test_the_default_loss_is_that_of_the_problem(logits, labels, problem, loss):
    found, items = label_losses(logits, labels, shift=False, smoothing=0.0, problem=problem)
    assert items is None
    expected = loss(logits, labels.float().reshape(logits.shape), reduction="none")
    torch.testing.assert_close(found, expected.reshape(5, -1).mean(1))
    torch.testing.assert_close(found.mean(), expected.mean())  # what the Trainer's model returns


def test_one_output_is_the_two_outputs_0_and_z():
    two = torch.stack([torch.zeros(5), Z[:, 0]], dim=1)
    labels = torch.tensor([0, 1, -100, 1, 0])
    for smoothing in (0.0, 0.1):
        found, _ = label_losses(Z[:, :1], labels, shift=False, smoothing=smoothing)
        expected, _ = label_losses(two, labels, shift=False, smoothing=smoothing)
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("logits", "labels", "options", "message"),
    [
        (Z[:, :1], NUMBERS, {}, "labels must be 0 or 1 .* got 0.3 in row 0.*'regression'"),
        (Z, SEVERAL[:, :2], {"problem": "multi_label_classification"}, "shape of the logits"),
        (Z, SEVERAL, {"smoothing": 0.1}, "label_smoothing_factor must be 0 for .*multi_label"),
        (Z[:, :1], NUMBERS[:4], {"problem": "regression"}, "shape of the logits"),
    ],
)
def test_labels_that_fit_no_loss_are_refused(logits, labels, options, message):
    with pytest.raises(ValueError, match=message):
        label_losses(logits, labels, **{"shift": False, "smoothing": 0.0, **options})


def test_the_problem_is_read_as_transformers_reads_it():
    config = types.SimpleNamespace
    for problem, given in (
        (None, torch.nn.Linear(1, 1)),
        ("regression", config(config=config(num_labels=1, problem_type=None))),
        (None, config(config=config(num_labels=3))),
        ("regression", config(module=config(config=config(problem_type="regression")))),
    ):
        assert problem_of(given) == problem


def test_the_sampler_is_told_the_answers_of_one_output():
    for logits in (Z[:, :1], Z[:, 0]):
        for labels in (ONES, ONES[:, None], ONES.long()):
            found, given = answers_of({"logits": logits}, labels, 5)
            assert found is logits
            assert given.shape == (5,)
    loss = torch.tensor(1.0)
    assert logits_of((loss, Z[:, 0])) is not None
    assert logits_of((loss, Z[:, 0], Z)) is Z


class OneOutput(Net):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)

    def forward(self, x, labels=None):
        return {"logits": self.linear(x[:, 1:])}


class Binary(Plain):
    def __getitem__(self, index):
        return {**super().__getitem__(index), "labels": torch.tensor([float(index % 2)])}


def test_a_model_of_one_output_trains_with_a_sampler_of_answers(tmp_path):
    sampler = KakurenboSampler(N, 3, num_replicas=1)
    run = train(tmp_path, sampler, net=OneOutput(), data=Binary())
    assert run is not None
    assert (sampler.confidences >= 0).all()
