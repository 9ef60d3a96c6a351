"""Reading checkpoints of finished runs: tensors and plain values, nothing that could run."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src.engine.checkpoint_file import must_be_whole


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
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict) or "state_dict" not in content:
        raise ValueError(f"{path} is not a checkpoint of a run: it has no state_dict.")
    return content


def load_weights(net: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Put the network's weights and statistics from a Classifier's checkpoint into `net`.

    Raises:
        ValueError: they are of another architecture.
    """
    prefix = "net."
    state = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    own = net.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    other = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or extra or other:
        differ = [f"{k} (other shape)" for k in sorted(other)]
        differ += [f"{k} (missing)" for k in missing] + [f"{k} (not expected)" for k in extra]
        raise ValueError(
            f"{path} does not fit this {type(net).__name__}: {len(differ)} tensors differ, such as "
            f"{differ[0]}. Leave out overrides of model=, norm= and data.num_classes."
        )
    net.load_state_dict(state)


def data_facts(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Class names, image size, mean and standard deviation of what a checkpoint's network was trained on.

    Raises:
        ValueError: the checkpoint does not say.
    """
    facts = checkpoint.get("ImageDataModule")
    if not isinstance(facts, dict) or not {"class_names", "image_size", "mean", "std"} <= facts.keys():
        raise ValueError(f"{path} does not say which classes it knows: train the network with this version.")
    return facts
