"""Mean and standard deviation of a dataset's training images, computed once and kept."""

import json
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.data.source import Images
from src.files import write_text

CHUNK = 256  # images summed at once: 256 * 255^2 < 2^24, so that float32 sums are exact


class Stats(NamedTuple):
    """Per channel (R, G, B), for pixel values in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def channel_stats(images: Images) -> Stats:
    """Mean and biased standard deviation of each channel over all pixels of all images, exactly."""
    size = images[0].size
    values = np.empty((CHUNK, size), dtype=np.float32)  # used again and again: fresh memory would cost more
    totals = np.zeros((2, size))  # of each value in an image, and of its square
    for start in range(0, len(images), CHUNK):
        stop = min(start + CHUNK, len(images))
        if isinstance(images, np.ndarray):
            chunk = images[start:stop]
        else:
            chunk = np.stack([images[i] for i in range(start, stop)])
        part = values[: len(chunk)]
        np.copyto(part, chunk.reshape(len(chunk), size))
        totals[0] += part.sum(axis=0)
        totals[1] += np.square(part, out=part).sum(axis=0)
    mean, square = totals.reshape(2, -1, 3).sum(axis=1) / (len(images) * size / 3)
    std = np.sqrt(np.maximum(square - mean**2, 0)) / 255
    return Stats(tuple((mean / 255).tolist()), tuple(np.maximum(std, 1e-6).tolist()))


def cached_stats(images: Images, fingerprint: str, cache_dir: str) -> Stats:
    """`channel_stats`, read from `cache_dir` when these images were measured before.

    A file that is damaged, or was written for other images, is measured and written again.
    """
    path = Path(cache_dir) / "stats" / f"{fingerprint}.json"
    try:
        kept = json.loads(path.read_text())
        stats = Stats(tuple(kept["mean"]), tuple(kept["std"]))
        if kept["sha256"] == digest(stats, fingerprint):
            return stats
    except (OSError, ValueError, KeyError, TypeError):
        pass
    stats = channel_stats(images)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(stats._asdict() | {"sha256": digest(stats, fingerprint)}))
    except OSError:
        pass  # a cache that cannot be written costs time only
    return stats


def digest(stats: Stats, fingerprint: str) -> str:
    """By this, numbers that were kept are known to be whole and of these images."""
    return sha256(json.dumps([fingerprint, stats.mean, stats.std]).encode()).hexdigest()
