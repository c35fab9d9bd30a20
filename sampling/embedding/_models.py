"""Models that embed: a folder of transformers or sentence-transformers, or a function.

Weights are read from safetensors only, since other files of weights are pickled; nothing is
downloaded, and no code in the folder is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from .. import _check
from .._optional import require
from ..io import digest

__all__ = ["Folder", "Function", "ImageModel", "Model", "TextModel", "device_of"]

_LONGEST = 512  # tokens, where a model names more but no folder of sentence-transformers says so
_POOLINGS = ("mean", "cls", "max", "last", "pooler")
_READ = (".json", ".txt", ".model", ".safetensors")  # files that determine the embeddings
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
               "sentencepiece.bpe.model", "spm.model", "source.spm")  # fmt: skip
_OF_CLASS = ("cls_token", "class_embedding", "class_token")  # names of the weights of such a token
_ST_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
_REMEDY = "write it with save_pretrained of transformers, or download it with huggingface_hub"
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


class Model:
    """What turns texts or images into rows.

    Attributes
    ----------
    facts : dict
        Manifest entries: they change if the embeddings do.
    sorts : bool
        Whether batches of rows of similar length are faster.
    """

    facts: dict[str, Any]
    sorts = False

    def prepared(self, items: Sequence[Any]) -> list[tuple[Any, int, bool]]:
        """Return for each item what `encode` takes, its length, and whether it was cut."""
        return [(each, 1, False) for each in items]

    def encode(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return embeddings: (B, D)."""
        raise TypeError(f"{type(self).__name__} must define encode")


class Function(Model):
    """A function of a list of texts or of images, which returns (B, D).

    Parameters
    ----------
    function : callable
        Takes a list of B str, or of B images of Pillow in RGB.
    what : {"text", "image"}
        What it is given.
    """

    def __init__(self, function: Callable[[list[Any]], Any], what: str) -> None:
        self._function, self.sorts = function, what == "text"
        module = getattr(function, "__module__", type(function).__module__)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        self.facts = {"model": f"{module}.{name}", "digest": None}

    def prepared(self, items: Sequence[Any]) -> list[tuple[Any, int, bool]]:
        """Sort texts by their characters."""
        return [(each, len(each) + 1 if self.sorts else 1, False) for each in items]

    def encode(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return what the function returns."""
        given = list(batch)
        found = _check.matrix("what model returns", self._function(given))
        if len(found) != len(given):
            raise ValueError(f"model must return a row for each of {len(given)}, got {len(found)}")
        return np.asarray(found, np.float32)


class Folder:
    """The files of a model, checked before anything is loaded.

    Parameters
    ----------
    path : pathlib.Path
        Folder of a transformers model, or of sentence-transformers.
    what : {"text", "image"}
        What is embedded.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.given = path
        if not path.exists():
            raise FileNotFoundError(
                f"model must be the folder of a model, got no such: {path}: {_REMEDY}"
            )
        if not path.is_dir():
            raise ValueError(
                f"model must be the folder of a model of transformers, with config.json and "
                f"safetensors, got a file: {path}; for other models, pass a function"
            )
        self.modules = self._modules()
        self.path = path / self.modules.get("Transformer", {"path": ""})["path"]
        self.config = self._json(self.path, "config.json")
        if self.config is None:
            raise ValueError(
                f"model must be the folder of a model, got no config.json in {path}: {_REMEDY}"
            )
        if not list(self.path.glob("*.safetensors")):
            held = next((name for name in _PICKLED if (self.path / name).exists()), None)
            got = f"none in {path}: {_REMEDY}"
            if held is not None:
                got = (
                    f"{self.path / held}, which is pickled: load it where you trust it, and save "
                    "it with save_pretrained"
                )
            raise ValueError(f"model must hold its weights in *.safetensors, got {got}")
        needed = _TOKENIZERS if what == "text" else ("preprocessor_config.json",)
        if not any((self.path / name).exists() for name in needed):
            tool = "tokenizer" if what == "text" else "image processor"
            raise ValueError(f"model must hold its {tool}, got none of {', '.join(needed)} in "
                             f"{self.path}: save it there with save_pretrained")  # fmt: skip

    def _modules(self) -> dict[str, dict[str, Any]]:
        """Return the modules of a folder of sentence-transformers by the name of their class."""
        held = self._json(self.given, "modules.json") or []
        found = {str(each["type"]).rpartition(".")[2]: each for each in held}
        wrong = found.keys() - {"Transformer", "Pooling", "Dense", "Normalize"}
        if wrong or len(found) < len(held):
            got = f"another module, {min(wrong)}" if wrong else "a module twice"
            raise ValueError(
                f"model must be a Transformer with Pooling, Dense and Normalize, got {got}, in "
                f"{self.given / 'modules.json'}: pass a function that calls its `encode`"
            )
        return found

    @staticmethod
    def _json(folder: Path, name: str) -> Any:  # any JSON value; None if there is no such file
        path = folder / name
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(_check.damaged(path, "a whole file of JSON", error)) from error

    def of_module(self, name: str, file: str = "config.json") -> dict[str, Any]:
        """Return the settings of a module; {} without the module."""
        if name not in self.modules:
            return {}
        return self._json(self.given / self.modules[name]["path"], file) or {}

    def pooling(self) -> str | None:
        """Return the pooling that the folder names; None if it names none."""
        held = self.of_module("Pooling")
        if "pooling_mode" in held:
            names = held["pooling_mode"]
            chosen = [names] if isinstance(names, str) else list(names)
            chosen = ["last" if each == "lasttoken" else each for each in chosen]
        else:
            on = [key for key, each in held.items() if key.startswith("pooling_mode_") and each]
            chosen = [_ST_POOLINGS.get(key, key) for key in on]
        if not held:
            return None
        if len(chosen) != 1 or chosen[0] not in _POOLINGS:
            raise ValueError(f"pooling must be given, one of {', '.join(_POOLINGS)}, got {chosen} "
                             f"in the folder {self.given}")  # fmt: skip
        return chosen[0]

    def digest(self) -> str:
        """Return a digest of names and bytes of the files that determine the embeddings."""
        found = hashlib.sha256()
        for path in sorted(self.given.rglob("*")):
            name = path.relative_to(self.given)
            hidden = any(each.startswith(".") for each in name.parts)
            if path.is_file() and path.suffix in _READ and not hidden:
                found.update(f"{name.as_posix()}\0{digest(path)}\0".encode())
        return f"sha256:{found.hexdigest()}"


class _OfFolder(Model):
    """A model of transformers in a folder."""

    def __init__(self, folder: Folder, device: torch.device, precision: str) -> None:
        transformers = require("transformers", "embed", "a model of texts or images")
        self._folder, self._device = folder, device
        with torch.random.fork_rng(devices=[]):  # weights that are missing are drawn
            self._net, info = _loaded(
                "AutoModel",
                folder,
                use_safetensors=True,
                dtype=getattr(torch, precision),
                output_loading_info=True,
            )
        missing = sorted(info["missing_keys"])
        of_decoder = [each for each in missing if each.startswith("decoder.")]
        if of_decoder or getattr(self._net.config, "is_encoder_decoder", False):
            self._net = self._net.get_encoder()  # such as that of T5
            missing = [each for each in missing if each not in of_decoder]
        self._pooler = not any("pooler" in each for each in missing)
        missing = [each for each in missing if "pooler" not in each]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(f"model must hold all weights, got none for {missing[0]}{more} in "
                             f"{folder.path}")  # fmt: skip
        self._net = self._net.to(device).eval()
        names = [name for name, _ in self._net.named_parameters()]
        self._has_class = any(each in name for name in names for each in _OF_CLASS)
        self._dense = _dense(folder, device)
        self.facts = {
            "model": str(folder.given),
            "digest": folder.digest(),
            "architecture": type(self._net).__name__,
            "precision": precision,
            "device": device.type,
            "transformers": transformers.__version__,
            "torch": torch.__version__,
        }

    def _pooled(self, found: Any, pooling: str, mask: torch.Tensor | None) -> torch.Tensor:
        """Return (B, D) of the outputs of the network, whose hidden states are (B, T, D)."""
        if pooling == "pooler":
            return found.pooler_output.flatten(1)  # type: ignore[no-any-return]
        hidden = found.last_hidden_state
        if hidden.ndim == 4:  # noqa: PLR2004  # (B, D, H, W), of a convolutional network
            hidden = hidden.flatten(2).transpose(1, 2)
        hidden = hidden.float()
        if mask is None:
            mask = torch.ones(hidden.shape[:2], device=hidden.device)
        if pooling == "cls":
            return hidden[:, 0]  # type: ignore[no-any-return]
        if pooling == "last":
            rows = torch.arange(len(hidden), device=hidden.device)
            return hidden[rows, mask.sum(1).long() - 1]  # type: ignore[no-any-return]
        if pooling == "max":
            return hidden.masked_fill(mask[..., None] == 0, -torch.inf).amax(1)  # type: ignore[no-any-return]
        weights = mask[..., None].float()
        return (hidden * weights).sum(1) / weights.sum(1)  # type: ignore[no-any-return]

    def _finished(self, found: torch.Tensor) -> NDArray[np.float32]:
        if self._dense is not None:
            found = self._dense(found.float())
        return found.float().cpu().numpy()


class TextModel(_OfFolder):
    """A text model: tokens, network, pooling, and the Dense layer of sentence-transformers."""

    sorts = True

    def __init__(  # noqa: PLR0913
        self,
        folder: Folder,
        device: torch.device,
        precision: str,
        pooling: str | None,
        max_tokens: int | None,
        prompt: str | None,
    ) -> None:
        super().__init__(folder, device, precision)
        if hasattr(self._net, "get_text_features"):
            raise ValueError(
                f"model must be a model of texts, got a {type(self._net).__name__}, of texts and "
                "images: pass a function that calls its get_text_features"
            )
        self._pooling = pooling or folder.pooling() or "mean"
        if self._pooling == "pooler" and not self._pooler:
            raise ValueError(f"pooling must not be 'pooler', got it for {folder.given}, which "
                             "holds no weights of a pooler")  # fmt: skip
        self._tokenizer = _loaded("AutoTokenizer", folder)
        self._pad = self._tokenizer.pad_token_id or 0
        said = folder._json(folder.path, "sentence_bert_config.json") or {}
        self._lower = bool(said.get("do_lower_case"))
        self._max = self._limit(max_tokens, said.get("max_seq_length"))
        self._prompt = self._default_prompt() if prompt is None else prompt
        self.facts |= {"pooling": self._pooling, "max_tokens": self._max, "prompt": self._prompt}

    def _limit(self, given: int | None, said: int | None) -> int:
        """Return how many tokens of a text are read, special ones included."""
        known = [self._tokenizer.model_max_length]
        known.append(getattr(self._net.config, "max_position_embeddings", None) or 2**31)
        table = getattr(getattr(self._net, "embeddings", None), "position_embeddings", None)
        if getattr(table, "padding_idx", None) is not None:  # RoBERTa counts from it
            known[1] -= table.padding_idx + 1  # type: ignore[union-attr]
        most, least = int(min(known)), self._tokenizer.num_special_tokens_to_add() + 1
        if given is None:
            return min(said or _LONGEST, most)
        return _check.integer("max_tokens", given, least, most + 1)

    def _default_prompt(self) -> str:
        held = self._folder._json(self._folder.given, "config_sentence_transformers.json") or {}
        name = held.get("default_prompt_name")
        return str((held.get("prompts") or {}).get(name, "")) if name else ""

    def prepared(self, items: Sequence[Any]) -> list[tuple[Any, int, bool]]:
        """Return the tokens of each text, their number, and whether the text was cut."""
        texts = [self._prompt + each for each in items]
        if self._lower:
            texts = [each.lower() for each in texts]
        if not texts:
            return []
        found = self._tokenizer(texts, truncation=True, max_length=self._max)
        every = found["input_ids"]
        cut = [bool(each.overflowing) for each in found.encodings or ()] or [False] * len(every)
        return [(each, len(each), over) for each, over in zip(every, cut, strict=True)]

    def encode(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return embeddings of lists of tokens; padding goes to the right, whatever the model."""
        longest = max(map(len, batch))
        tokens = np.full((len(batch), longest), self._pad, np.int64)
        mask = np.zeros((len(batch), longest), np.int64)
        for row, each in enumerate(batch):
            tokens[row, : len(each)], mask[row, : len(each)] = each, 1
        with torch.inference_mode():
            there = torch.from_numpy(mask).to(self._device)
            found = self._net(
                input_ids=torch.from_numpy(tokens).to(self._device), attention_mask=there
            )
            return self._finished(self._pooled(found, self._pooling, there))


class ImageModel(_OfFolder):
    """An image model, with the image processor of its folder."""

    def __init__(
        self, folder: Folder, device: torch.device, precision: str, pooling: str | None
    ) -> None:
        super().__init__(folder, device, precision)
        self._processor = _loaded("AutoImageProcessor", folder, backend="pil")
        self._both = hasattr(self._net, "get_image_features")  # CLIP and its like
        if self._both and pooling is not None:
            raise ValueError(f"pooling must be omitted for a {type(self._net).__name__}, which has "
                             f"its own, got {pooling!r}")  # fmt: skip
        self._pooling = pooling or ("cls" if self._has_class else "mean")
        if self._pooling not in ("mean", "cls", "pooler"):
            raise ValueError(f"pooling must be one of 'mean', 'cls', 'pooler' for images, got "
                             f"{pooling!r}")  # fmt: skip
        if self._pooling == "cls" and not self._has_class:
            raise ValueError(f"pooling must be 'mean' or 'pooler', got 'cls' for a "
                             f"{type(self._net).__name__}, which has no class token")  # fmt: skip
        if self._pooling == "pooler" and not self._pooler:
            raise ValueError(f"pooling must not be 'pooler', got it for {folder.given}, which "
                             "holds no weights of a pooler")  # fmt: skip
        self.facts["pooling"] = "its own" if self._both else self._pooling

    def encode(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return embeddings of images of Pillow in RGB."""
        given = self._processor(images=list(batch), return_tensors="pt")["pixel_values"]
        given = given.to(self._device, next(self._net.parameters()).dtype)
        with torch.inference_mode():
            if self._both:
                found = self._net.get_image_features(pixel_values=given)
                return self._finished(getattr(found, "pooler_output", found))
            return self._finished(self._pooled(self._net(pixel_values=given), self._pooling, None))


def device_of(name: str | None) -> torch.device:
    """Return the device to compute on: by default a GPU if torch has one, else the CPU."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(_check.text("device", str(name)))
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # torch's own, of several kinds
        said = str(error).partition("\n")[0]
        raise ValueError(
            f"device must be one that torch can use here, got {name!r}: {said}"
        ) from error
    return found


def _dense(folder: Folder, device: torch.device) -> torch.nn.Module | None:
    """Return the Dense module of sentence-transformers; None without one."""
    if "Dense" not in folder.modules:
        return None
    from safetensors.torch import load_file

    facts = folder.of_module("Dense")
    path = folder.given / folder.modules["Dense"]["path"] / "model.safetensors"
    if not path.is_file():
        got = f"none in {path.parent}: {_REMEDY}"
        raise ValueError(f"model must hold its weights in *.safetensors, got {got}")
    name = str(facts.get("activation_function", "torch.nn.modules.linear.Identity"))
    activation = getattr(torch.nn, name.rpartition(".")[2], None)
    if not name.startswith("torch.nn.modules.") or activation is None:
        raise ValueError(f"activation_function must be one of torch.nn, got {name!r} in {path}")
    held = load_file(path)
    has_bias = "linear.bias" in held
    linear = torch.nn.Linear(
        facts["in_features"], facts["out_features"], bias=has_bias, device="meta"
    )
    weights = {key.removeprefix("linear."): each for key, each in held.items()}
    linear.load_state_dict(weights, assign=True)
    return torch.nn.Sequential(linear, activation()).float().to(device).eval()


def _loaded(auto: str, folder: Folder, **options: Any) -> Any:
    """Return what a class of transformers, such as AutoModel, reads from a folder."""
    transformers = require("transformers", "embed", "a model of texts or images")
    with _quiet(transformers):
        try:
            return getattr(transformers, auto).from_pretrained(
                folder.path, local_files_only=True, trust_remote_code=False, **options
            )
        except (SafetensorError, RuntimeError, KeyError, TypeError, ImportError) as error:
            raise ValueError(
                f"model must hold whole files that {auto} of transformers can read, got in "
                f"{folder.path}: {error}: {_REMEDY}"
            ) from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:  # the module
    """Load without the bars and reports of transformers, whose settings are restored."""
    log = transformers.utils.logging
    shown, level = log.is_progress_bar_enabled(), log.get_verbosity()
    log.disable_progress_bar()
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if shown:
            log.enable_progress_bar()
