"""Message about a file that cannot be read."""

from __future__ import annotations

__all__ = ["damaged"]


def damaged(path: object, what: str, error: object) -> str:
    """Return the message about a file that cannot be read as what it must be, with the remedy."""
    said = " ".join(str(error).split()).rstrip(".")
    remedy = "write the file again, or copy it again"
    if "Python objects" in said or "bject arrays" in said:  # numpy's two messages
        remedy = "save an array of numbers, numpy.save(path, numpy.array(rows, numpy.float32))"
    return f"{path} must be {what}, got: {said}: {remedy}"
