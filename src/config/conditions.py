"""What must hold of a configuration beside the ranges of single keys.

A key that a config does not have is not checked, so a new group costs nothing here.
"""

import math
from collections.abc import Iterator
from importlib.util import find_spec

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.identity import flattened

LARGEST = 2**63 - 1  # of what torch and numpy count with


def numbers_are_finite(cfg: DictConfig) -> Iterator[str]:
    """Whatever a number stands for, nothing can be done with infinity, or with more than 64 bits hold."""
    for key, value in flattened(OmegaConf.to_container(cfg)):
        if isinstance(value, float) and math.isinf(value):
            yield f"{key} must be finite: got {value}."
        elif isinstance(value, int) and abs(value) > LARGEST:
            yield f"{key} must be at most {LARGEST}: got {value}."


def _places_are_named(cfg: DictConfig) -> Iterator[str]:
    """Results lie in outputs/<task_name>, and nowhere else."""
    task, outputs = get(cfg, "task_name"), get(cfg, "paths.output_dir")
    parts = str(task).split("/")
    if task is None or not all(part.strip(" .") for part in parts) or len(str(task).encode()) > 200:
        yield f"task_name must be the name of a folder, of up to 200 bytes: got {shortened(str(task))!r}."
    if outputs is not None and not str(outputs).strip():
        yield "paths.output_dir must name a folder: got nothing (it comes from OUTPUT_DIR if that is set)."


def _devices_exist(cfg: DictConfig) -> Iterator[str]:
    devices, accelerator = get(cfg, "trainer.devices"), get(cfg, "trainer.accelerator")
    numbers = devices if isinstance(devices, list) else [devices]
    count = devices if isinstance(devices, int) else int(devices) if str(devices).isdecimal() else 0
    listed = isinstance(devices, list) or "," in str(devices)
    if accelerator == "cpu" and devices not in (None, "auto") and (listed or count < 1):
        yield f"trainer.devices must be a number of processes on a CPU, 1 or more: got {devices}."
    elif devices not in (None, "auto", -1, "-1") and not listed and count < 1:
        yield f"trainer.devices must be 1 or more, auto, -1 (all), or a list such as [0,1]: got {devices}."
    elif isinstance(devices, list) and not (numbers and all(isinstance(n, int) and n >= 0 for n in numbers)):
        yield f"trainer.devices must list device numbers, such as [0,1]: got {devices}."
    if accelerator == "cpu" and str(get(cfg, "trainer.precision")) in ("16-mixed", "16"):
        yield "trainer.precision=16-mixed needs a GPU: a CPU has bf16-mixed."


def _betas_are_fractions(cfg: DictConfig) -> Iterator[str]:
    for key in ("optimizer.betas", "optimizer.rest.betas"):
        betas = get(cfg, key)
        if betas is not None and not (
            len(betas) == 2 and all(isinstance(b, (int, float)) and 0 <= b < 1 for b in betas)
        ):
            yield f"{key} must be two numbers of at least 0 and less than 1: got {betas}."


def _milestones_rise(cfg: DictConfig) -> Iterator[str]:
    steps = get(cfg, "scheduler.milestones")
    whole = steps is not None and all(isinstance(step, int) and step >= 0 for step in steps)
    if steps is not None and not (steps and whole and sorted(steps) == steps):
        yield f"scheduler.milestones must be whole numbers that rise: got {steps}."


def _groups_divide_channels(cfg: DictConfig) -> Iterator[str]:
    width, num_groups = get(cfg, "model.width"), get(cfg, "norm.num_groups")
    if width and num_groups and width % num_groups:
        divisors = [g for g in range(1, width + 1) if width % g == 0]
        yield (
            f"norm.num_groups must divide model.width: got num_groups={num_groups}, width={width}. "
            f"Valid here: {divisors}."
        )


def _stages_agree(cfg: DictConfig) -> Iterator[str]:
    lists = {key: get(cfg, key) for key in ("model.strides", "model.num_blocks")}
    for key, values in lists.items():
        if values is not None and not (values and all(isinstance(v, int) and v >= 1 for v in values)):
            yield f"{key} must be a list of whole numbers of 1 or more, one a stage: got {values}."
            return
    lengths = {len(values) for values in lists.values() if values is not None}
    if len(lengths) > 1:
        yield f"model.strides and model.num_blocks must be equally long: got {lists}."


def _train_images_remain(cfg: DictConfig) -> Iterator[str]:
    num_val, num_train = get(cfg, "data.num_val"), get(cfg, "data.num_train")
    if isinstance(num_val, int) and isinstance(num_train, int) and num_val >= num_train > 0:
        yield (
            f"data.num_val must be less than the {num_train} training images: got {num_val}. "
            f"0 trains on all of them, without validation."
        )


def _metrics_exist(cfg: DictConfig) -> Iterator[str]:
    """A run without validation images has no val/acc to wait for."""
    if get(cfg, "data.num_val") != 0 or get(cfg, "data.num_train") is None:
        return
    for key in ("scheduler.monitor", "callbacks.early_stopping.monitor"):
        if str(get(cfg, key)).startswith("val/"):
            yield (
                f"{key}={get(cfg, key)} needs validation images, but data.num_val is 0: "
                f"set data.num_val, or {key}=train/loss with mode min."
            )


def _packages_are_installed(cfg: DictConfig) -> Iterator[str]:
    """Loggers whose packages an extra brings."""
    for name in ("wandb", "mlflow"):
        if get(cfg, f"logger.{name}") and find_spec(name) is None:
            yield f"logger={name} needs the package {name}, which is not installed: pip install {name}."


CONDITIONS = (
    *(_groups_divide_channels, _stages_agree, _train_images_remain, _metrics_exist),
    *(_places_are_named, _devices_exist, _betas_are_fractions, _milestones_rise),
    _packages_are_installed,
)


def shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def get(cfg: DictConfig, key: str):  # type: ignore[no-untyped-def]  # any plain value
    """The plain value at `key`, or None where there is none or only a running job can tell."""
    try:
        value = OmegaConf.select(cfg, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException:
        return None
