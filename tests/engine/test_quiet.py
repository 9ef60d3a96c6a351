"""Warnings that say nothing to the user are not shown."""

import warnings
from pathlib import Path

import lightning as L
import pytest

from src.engine.quiet import quiet


def test_a_login_node_is_no_reason_to_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="srun"):  # Lightning still warns
            trainer()
        quiet()
        trainer()


def trainer() -> L.Trainer:
    return L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
