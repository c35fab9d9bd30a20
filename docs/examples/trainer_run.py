"""Train with Hugging Face's Trainer and InfoBatch; run it again after an interruption to resume.

    pip install 'sampling[hf]'
    python trainer_run.py --epochs 5 --out runs/trainer

The model is a tiny BERT made from a config. With one of your own, replace `model` and `made`.
"""

import argparse
from typing import Any

import numpy as np
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from sampling.integrations import SamplerTrainerMixin
from sampling.samplers import InfoBatchSampler

VOCABULARY, LENGTH = 100, 16


class SampledTrainer(SamplerTrainerMixin, Trainer):
    """A Trainer with `train_sampler=`; the rest is that of transformers."""


def made(size: int, seed: int) -> list[dict[str, Any]]:
    """Return texts as token ids; the class is whether token 7 occurs."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, VOCABULARY, (size, LENGTH))
    labels = rng.integers(0, 2, size)
    rows = np.flatnonzero(labels)
    tokens[rows, rng.integers(0, LENGTH, rows.size)] = 7
    return [
        {"input_ids": ids.tolist(), "labels": int(label)}
        for ids, label in zip(tokens, labels, strict=True)
    ]


def accuracy(predicted: Any) -> dict[str, float]:
    """Return the accuracy of predictions."""
    return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}


def main() -> None:
    """Train, or resume from the newest checkpoint, and evaluate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--out", default="runs/trainer")
    args = parser.parse_args()

    set_seed(0)
    train, test = made(args.samples, seed=0), made(500, seed=1)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=LENGTH,
            num_labels=2,
        )
    )
    arguments = TrainingArguments(
        args.out,
        num_train_epochs=args.epochs,
        per_device_train_batch_size=32,
        learning_rate=3e-3,
        save_steps=20,
        save_total_limit=1,
        logging_steps=20,
        report_to=[],
    )
    trainer = SampledTrainer(
        model,
        arguments,
        train_dataset=train,
        eval_dataset=test,
        compute_metrics=accuracy,
        # num_replicas=1: the Trainer distributes the batches of one order to its processes
        train_sampler=InfoBatchSampler(train, num_epochs=args.epochs, seed=0, num_replicas=1),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(args.out))
    found = trainer.evaluate()["eval_accuracy"]
    print(f"accuracy {found:.3f}, step {trainer.state.global_step}")


if __name__ == "__main__":
    main()
