"""Checkpoint files that are whole, whatever happens while they are written."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO


class WholeCheckpoints(TorchCheckpointIO):
    """Write beside the old file, to the disk, then put the new one in its place in one move.

    Lightning writes to the system's temporary folder and moves the file from there, which copies it where
    that is another disk: a kill in the middle leaves half a checkpoint and no old one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.tmp")  # one name: what a kill leaves is written over
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
