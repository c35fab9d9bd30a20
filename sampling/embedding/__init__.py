"""Embeddings of texts and images, by a model that is on disk.

The selectors by embeddings read the .npy file that `embed` writes.
"""

from __future__ import annotations

from ._embed import embed, embedding_outputs

__all__ = ["embed", "embedding_outputs"]
