"""Splitting indices by class."""

import numpy as np
from sklearn.model_selection import train_test_split


def stratified_split(labels: np.ndarray, num_held_out: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split positions into (kept, held out), both sorted, each with every class's share.

    Args:
        labels: class indices, shape (N,).
        num_held_out: size of the second part; 0 gives an empty one.
        seed: the same seed gives the same split.

    Raises:
        ValueError: fewer images than asked for, or fewer than one a class.
    """
    positions = np.arange(len(labels))
    if num_held_out == 0:
        return positions, positions[:0]
    num_classes = len(np.unique(labels))
    if not num_classes <= num_held_out <= len(labels) - num_classes:
        raise ValueError(
            f"data.num_val must be 0, or from {num_classes} (one a class) to {len(labels) - num_classes}: "
            f"got {num_held_out} of {len(labels)} images."
        )
    kept, held_out = train_test_split(positions, test_size=num_held_out, stratify=labels, random_state=seed)
    return np.sort(kept), np.sort(held_out)
