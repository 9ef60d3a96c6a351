"""Reading checkpoints of finished runs: tensors and plain values, nothing that could run."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.config.finished import build_foreign
from src.runs.checkpoint_file import must_be_whole

_LARGEST_IMAGE = 4096  # pixels, as `data.image_size` allows


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU.

    Raises:
        ValueError: it holds more than tensors and plain values, is damaged, or is no checkpoint.
    """
    must_be_whole(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles that torch did not write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = (
            " ".join(str(error).split("WeightsUnpickler error: ")[-1].split())
            .split(" Check ")[0]
            .split(". ")[0]
        )
        raise ValueError(
            f"{path} holds more than tensors and plain values, or is damaged: nothing in it was run "
            f"({reason})."
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except Exception as error:  # half a file, a text, another archive: whatever the reader stumbles over
        if "memory" in str(error):
            raise
        raise ValueError(f"{path} is damaged, or no checkpoint at all: give another one.") from None
    found: dict[str, Any] = content if isinstance(content, dict) else {}
    state = found.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} is not a checkpoint of a run: it has no state_dict of tensors.")
    return found


def refuse_other_run(
    checkpoint: dict[str, Any], module: nn.Module, config: dict[str, Any], path: Path
) -> None:
    """See that training can continue from a checkpoint, before a Trainer tries.

    Args:
        checkpoint: from `load_checkpoint`.
        module: the Classifier that would continue.
        config: its configuration, as plain values.
        path: of the checkpoint.

    Raises:
        ValueError: it is of another network, optimizer or schedule, or holds weights alone.
    """
    compare(module.state_dict(), checkpoint["state_dict"], type(module.net).__name__, path)
    if not {"optimizer_states", "lr_schedulers", "loops", "global_step"} <= checkpoint.keys():
        raise ValueError(
            f"{path} holds weights, but not where training stood: training cannot resume from it."
        )
    before = checkpoint.get("hyper_parameters")
    for part, key in (("optimizer", "_target_"), ("scheduler", "factory")):
        then, now = ((c or {}).get(part, {}).get(key) for c in (before, config))
        if before and then != now:
            raise ValueError(
                f"{path} was saved in a training with another {part}: keep that one (leave "
                f"{part}= out), or start again without ckpt_path."
            )
    then, now = ((c or {}).get("trainer", {}).get("max_epochs") for c in (before, config))
    if then and now and now > then and any("total_steps" in state for state in checkpoint["lr_schedulers"]):
        raise ValueError(
            f"{path}: its schedule ends with epoch {then} and cannot be extended to {now}: leave "
            f"trainer.max_epochs out, or start again without ckpt_path."
        )


def load_weights(net: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Put the network's weights and statistics from a Classifier's checkpoint into `net`.

    Raises:
        ValueError: they are of another architecture.
    """
    prefix = "net."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    compare(net.state_dict(), state, type(net).__name__, path)
    net.load_state_dict(state)


def compare(own: dict[str, Any], state: dict[str, Any], name: str, path: Path) -> None:
    """Compare a network's tensors with those in a file.

    Raises:
        ValueError: their names or shapes differ.
    """
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    other = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or extra or other:
        differ = [f"{k} (other shape)" for k in sorted(other)]
        differ += [f"{k} (missing)" for k in missing] + [f"{k} (not expected)" for k in extra]
        raise ValueError(
            f"{path} does not fit this {name}: {len(differ)} tensors differ, such as "
            f"{differ[0]}. Leave out overrides of model=, norm= and data.num_classes."
        )


def module_of(path: Path) -> nn.Module:
    """The Classifier that wrote a checkpoint, with its weights, in evaluation mode on the CPU.

    Raises:
        ConfigError: the checkpoint would call what no file in `conf/` does.
        ValueError: it is damaged, or does not say what it was made of.
    """
    content = load_checkpoint(path)
    config = content.get("hyper_parameters")
    if not isinstance(config, dict) or "module" not in config:
        raise ValueError(f"{path} does not say what it was made of: train the network with this version.")
    module: nn.Module = build_foreign(config["module"], (), path)
    compare(module.state_dict(), content["state_dict"], type(module).__name__, path)
    module.load_state_dict(content["state_dict"])
    return module.eval()


def data_facts(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Class names, image size, mean and standard deviation of what a checkpoint's network was trained on.

    Raises:
        ValueError: the checkpoint does not say.
    """
    facts = checkpoint.get("ImageDataModule")
    if not isinstance(facts, dict) or not {"class_names", "image_size", "mean", "std"} <= facts.keys():
        raise ValueError(f"{path} does not say which classes it knows: train the network with this version.")
    names, size = facts["class_names"], facts["image_size"]
    numbers = [facts["mean"], facts["std"]]
    if not (
        (isinstance(names, list) and names and all(isinstance(name, str) for name in names))
        and (isinstance(size, int) and 0 < size <= _LARGEST_IMAGE)
        and all(isinstance(three, list) and len(three) == 3 for three in numbers)
        and all(isinstance(number, float) for three in numbers for number in three)
    ):
        raise ValueError(f"{path} is damaged: its classes, image size, mean or deviation make no sense.")
    return facts
