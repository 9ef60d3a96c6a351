"""Runs of several processes (`trainer=ddp`), and what Hydra and Lightning cannot do with them together."""

import os
from collections.abc import Iterator, Mapping

from omegaconf import DictConfig, OmegaConf

_STARTED_BY_SLURM = "submitit_slurm"  # of hydra/launcher: srun starts a run's processes, not Lightning


def process_problems(
    cfg: DictConfig, *, sweep: bool, launcher: str, has_folder: bool, env: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """What cannot work where one run is several processes.

    Args:
        cfg: a job's composed configuration.
        sweep: whether it is one of several (`-m`).
        launcher: the option of `hydra/launcher`.
        has_folder: whether the command names the run's folder.
        env: environment variables; torchrun and srun say there what they started.
    """
    devices, num_nodes = cfg.trainer.devices, OmegaConf.select(cfg, "trainer.num_nodes") or 1
    from_outside = max(int(env.get(name) or 1) for name in ("WORLD_SIZE", "SLURM_NTASKS")) > 1
    several = from_outside or num_nodes > 1 or not is_one(devices)
    if sweep and several and launcher != _STARTED_BY_SLURM:
        yield (
            f"a sweep (-m) cannot start runs of several processes (trainer.devices={devices}, torchrun, "
            f"srun): set trainer.devices=1 (hydra/launcher=joblib runs jobs side by side), start each run by "
            f"a command of its own, or let SLURM start the processes (hydra/launcher={_STARTED_BY_SLURM})."
        )
    if not sweep and (from_outside or num_nodes > 1) and not has_folder:
        yield (
            "the processes of one run must share its folder, and those that torchrun, srun or several "
            "nodes start cannot agree on one: add hydra.run.dir=outputs/train/runs/<name>."
        )


def is_one(devices: object) -> bool:
    """Whether `trainer.devices` is one device: a count, or a list of device numbers."""
    return devices in (1, "1") or (OmegaConf.is_list(devices) and len(devices) == 1)  # type: ignore[arg-type]
