"""Normalization of texts, so that equal wording gives equal characters."""

from __future__ import annotations

import unicodedata
from typing import Literal

__all__ = ["Normalize", "normalized"]

Normalize = Literal["casefold", "nfkc", "none"]


def normalized(text: str, how: Normalize) -> str:
    """Return a text normalized as `dedup_text` documents; normalizing twice changes nothing."""
    if how == "none":
        return text
    if text.isascii():
        text = text.lower() if how == "casefold" else text
    else:
        text = unicodedata.normalize("NFKC", text)
        if how == "casefold":  # which may compose differently, and expands some letters
            text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.split())
