"""Mean and standard deviation of a dataset's training images, computed once and kept."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.data.source import Images

CHUNK = 5000  # images summed at once


class Stats(NamedTuple):
    """Per channel (R, G, B), for pixel values in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def channel_stats(images: Images) -> Stats:
    """Mean and biased standard deviation of each channel over all pixels of all images, exactly."""
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for start in range(0, len(images), CHUNK):
        chunk = np.stack([images[i] for i in range(start, min(start + CHUNK, len(images)))])
        for channel in range(3):
            # 256 values only: a histogram is exact and much faster than a float copy of the images
            histogram = np.bincount(chunk[..., channel].ravel(), minlength=256)
            values = np.arange(256) / 255
            total[channel] += histogram @ values
            squares[channel] += histogram @ values**2
        count += chunk[..., 0].size
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return Stats(tuple(mean.tolist()), tuple(np.maximum(std, 1e-6).tolist()))


def cached_stats(images: Images, fingerprint: str, cache_dir: str) -> Stats:
    """`channel_stats`, read from `cache_dir` when these images were measured before."""
    path = Path(cache_dir) / "stats" / f"{fingerprint}.json"
    try:
        kept = json.loads(path.read_text())
        return Stats(tuple(kept["mean"]), tuple(kept["std"]))
    except (OSError, ValueError, KeyError, TypeError):
        stats = channel_stats(images)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(stats._asdict()))
        temporary.replace(path)
    except OSError:
        pass  # a cache that cannot be written costs time only
    return stats
