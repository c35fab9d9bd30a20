"""Message about a file that cannot be read."""

from __future__ import annotations

__all__ = ["damaged"]


def damaged(path: object, what: str, error: object) -> str:
    """Return the message about a file that cannot be read as what it must be, with the remedy."""
    said = " ".join(str(error).split()).rstrip(".")
    return f"{path} must be {what}, got: {said}: write the file again, or copy it again"
