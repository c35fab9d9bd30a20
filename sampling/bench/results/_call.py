"""Description of a call of the benchmark: arguments, versions, machine and commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..._version import __version__


def describe_call(arguments: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return arguments, versions, machine, commit and time, as JSON values."""
    return {
        "arguments": json.loads(json.dumps(arguments)),  # tuples as lists, as when read back
        "begun": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "process": os.getpid(),
        "versions": {
            "sampling": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "hardware": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processor": _processor(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "system": platform.platform(),
        },
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str | None:
    """Return the commit of a git checkout of the package, marked if edited; None elsewhere."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    head = _git(root, ["rev-parse", "HEAD"])
    if not head:
        return None
    return head + ("-dirty" if _git(root, ["status", "--porcelain", "--", "sampling"]) else "")


def _git(root: Path, arguments: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
