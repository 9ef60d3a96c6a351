"""What happens between the jobs of a sweep in one process."""

import gc
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig


class FreeMemory(Callback):
    """After each job of a sweep, free what it held, so that a hundred need no more memory than three."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        job_return.cfg = job_return.hydra_cfg = None  # which Hydra keeps to the end of the sweep
        free_memory()


def free_memory() -> None:
    """Free what earlier runs in this process have left.

    A Trainer and its parts hold each other: only a full collection finds that, which Python makes seldom, for
    imports alone make half a million objects to look at. These are set aside the first time; it takes a
    third of a second, and hundredths from then on.
    """
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()
