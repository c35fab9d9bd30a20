"""Embeddings of texts and images, by a model that is on disk.

    embed("corpus/", "models/minilm", "embeddings.npy", text="text")

Embeddings
    embed                   a column of texts, or a folder of images; the selectors read its file
    embedding_outputs       which files, for `io.check_outputs`
"""

from __future__ import annotations

from ._embed import embed, embedding_outputs

__all__ = ["embed", "embedding_outputs"]
