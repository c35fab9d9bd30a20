"""Train a small language model on a mixture of sources in shares of tokens; it resumes.

    python token_mixture.py --epochs 8 --tokens 20000 --out runs/mixture

Half of the tokens are of `web`, a quarter each of `code` and `books`, whose documents are longer;
`books` is repeated at most twice. Batches have similar lengths, and at most 2,000 padded tokens.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from sampling import Indexed
from sampling.samplers import MixtureSampler, TokenBudgetBatchSampler

VOCABULARY = 50
SHARES = {"web": 2.0, "code": 1.0, "books": 1.0}


class Documents(Dataset[torch.Tensor]):
    """Made documents: each token is mostly the previous one plus a step of the source."""

    def __init__(self, size: int, mean_length: int, step: int) -> None:
        rng = np.random.default_rng(step)
        self.lengths = rng.integers(mean_length // 2, mean_length * 3 // 2, size)
        steps = [np.where(rng.random(n) < 0.9, step, 5 * step) for n in self.lengths]
        self.texts = [torch.tensor(each.cumsum() % (VOCABULARY - 1) + 1) for each in steps]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.texts[index]


def collate(rows: list[tuple[int, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad the documents of a batch with zeros."""
    indices, texts = zip(*rows, strict=True)
    return torch.tensor(indices), pad_sequence(list(texts), batch_first=True)


class Model(torch.nn.Module):
    """A recurrent network that predicts the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, 32)
        self.cells = torch.nn.GRU(32, 64, batch_first=True)
        self.head = torch.nn.Linear(64, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map tokens (B, T) to logits (B, vocabulary, T)."""
        logits: torch.Tensor = self.head(self.cells(self.embed(tokens))[0])
        return logits.mT


def main() -> None:
    """Train, or resume after the last complete epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=20_000, help="Tokens in an epoch.")
    parser.add_argument("--out", type=Path, default=Path("runs/mixture"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    parts = {"web": Documents(2000, 40, 1), "code": Documents(300, 120, 2)}
    parts["books"] = Documents(40, 600, 3)
    lengths = {name: part.lengths for name, part in parts.items()}
    mixture = MixtureSampler(
        parts,
        num_tokens=args.tokens,
        sample_tokens=lengths,
        weights=SHARES,
        max_repeats={"books": 2.0},
        seed=0,
    )
    of_all = np.concatenate(list(lengths.values()))
    batches = TokenBudgetBatchSampler(of_all, max_tokens=2000, sampler=mixture)
    train = Indexed(ConcatDataset(list(parts.values())))  # in the order of `parts`
    loader = DataLoader(train, batch_sampler=batches, collate_fn=collate)

    torch.manual_seed(0)
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    first, saved = 0, args.out / "saved.pt"
    if saved.exists():
        first, of_batches, of_model, of_optimizer = torch.load(saved, weights_only=True)
        batches.load_state_dict(of_batches)
        model.load_state_dict(of_model)
        optimizer.load_state_dict(of_optimizer)

    for epoch in range(first, args.epochs):
        batches.set_epoch(epoch)
        for indices, tokens in loader:
            losses = F.cross_entropy(
                model(tokens[:, :-1]), tokens[:, 1:], ignore_index=0, reduction="none"
            )
            predicted = int((tokens[:, 1:] > 0).sum())
            optimizer.zero_grad()  # the mean over tokens, not over documents
            batches.reduce(losses.sum(1), indices, denominator=predicted).backward()
            optimizer.step()
        new = args.out / "part.pt"
        states = [batches.state_dict(), model.state_dict(), optimizer.state_dict()]
        torch.save([epoch + 1, *states], new)
        new.replace(saved)  # at once: an interruption leaves the old file
        shares = zip(parts, mixture.token_shares(epoch), strict=True)
        named = ", ".join(f"{name} {share:.3f}" for name, share in shares)
        loss = losses.sum().item() / predicted  # of the last batch, by token
        print(f"epoch {epoch}: {len(batches)} batches, loss {loss:.2f}, tokens: {named}")


if __name__ == "__main__":
    main()
