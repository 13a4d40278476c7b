"""Class embeddings [K, E] as a store keeps them: little-endian float32, row by row."""

import numpy as np

from app.inference.embeddings import LITTLE_ENDIAN_FLOAT32


def embeddings_content(embeddings: np.ndarray) -> bytes:
    """Returns the bytes of class embeddings."""
    return embeddings.astype(LITTLE_ENDIAN_FLOAT32, copy=False).tobytes()


def read_embeddings(content: bytes, num_labels: int, embed_dim: int) -> np.ndarray | None:
    """Returns class embeddings [K, E] float32, or None if these bytes are not such embeddings."""
    if len(content) != num_labels * embed_dim * 4:
        return None
    embeddings = np.frombuffer(content, LITTLE_ENDIAN_FLOAT32).reshape(num_labels, embed_dim).astype(np.float32)
    return embeddings if np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-2) else None
