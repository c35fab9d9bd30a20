"""Train on scikit-learn's digits with InfoBatch; run it again after an interruption to resume.

    python torch_loop.py --epochs 10 --out runs/digits

A checkpoint holds the model, the optimizer, the scaler and the sampler with its recorded losses:
the resumed run trains on exactly the batches that were left.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from sampling import Indexed
from sampling.samplers import InfoBatchSampler, load_state, save_state

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--save-every", type=int, default=20, help="Steps between checkpoints.")
parser.add_argument("--amp", action="store_true", help="Compute in half precision.")
parser.add_argument("--out", type=Path, default=Path("runs/digits"), help="Checkpoints.")
args = parser.parse_args()

device = "cuda" if torch.cuda.is_available() else "cpu"
half = torch.float16 if device == "cuda" else torch.bfloat16
torch.manual_seed(0)

images, labels = load_digits(return_X_y=True)
x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
train, test = Indexed(TensorDataset(x[:1200], y[:1200])), (x[1200:].to(device), y[1200:].to(device))

model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
model = model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
scaler = torch.amp.GradScaler(device, enabled=args.amp and half is torch.float16)
sampler = InfoBatchSampler(train, num_epochs=args.epochs, seed=0)
loader = DataLoader(train, batch_size=args.batch_size, sampler=sampler)
parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "scaler": scaler}


def save(step: int, consumed: int) -> None:
    """Write a checkpoint into a new folder, which gets its name once it is complete."""
    before = list(args.out.glob("step-*"))
    part = args.out / "part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    torch.save({name: each.state_dict() for name, each in parts.items()}, part / "model.pt")
    save_state(sampler, part / "sampler.safetensors", consumed=consumed)
    part.rename(args.out / f"step-{step:06d}")
    for folder in before:
        shutil.rmtree(folder)


def restore() -> int:
    """Load the newest checkpoint, if there is one, and return its step."""
    newest = max(args.out.glob("step-*"), default=None)
    if newest is None:
        return 0
    saved = torch.load(newest / "model.pt", map_location=device, weights_only=True)
    for name, each in parts.items():
        each.load_state_dict(saved[name])
    load_state(sampler, newest / "sampler.safetensors")
    return int(newest.name.removeprefix("step-"))


step = restore()
print(f"begin at step {step}, epoch {sampler.epoch}", flush=True)
for epoch in range(sampler.epoch, args.epochs):
    sampler.set_epoch(epoch)  # of the restored epoch: keeps the position
    for batch, (indices, (inputs, targets)) in enumerate(loader, 1):
        with torch.autocast(device, dtype=half, enabled=args.amp):
            outputs = model(inputs.to(device))
            losses = F.cross_entropy(outputs, targets.to(device), reduction="none")
        optimizer.zero_grad()
        scaler.scale(sampler.reduce(losses, indices)).backward()
        scaler.step(optimizer)
        scaler.update()
        step += 1
        if step % args.save_every == 0:
            save(step, sampler.consumed_after(batch, args.batch_size))
    with torch.no_grad():
        accuracy = (model(test[0]).argmax(1) == test[1]).float().mean().item()
    print(f"epoch {epoch}: step {step}, {len(sampler)} samples, {accuracy:.3f}", flush=True)
