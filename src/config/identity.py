"""What a run is, apart from where and when it ran: by this, runs are compared and sweeps continue."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.checked_json import finite
from src.config.groups import learned

NAME = "config.json"  # in a run's folder
# They change where and how fast a run happens, not what is learned.
WHERE = (
    "data.cache_dir",
    "data.download",
    "data.source.download",
    "data.num_workers",
    "trainer.default_root_dir",
    "trainer.log_every_n_steps",
    "trainer.enable_model_summary",
    "trainer.profiler",
    "callbacks.last.every_minutes",
    "callbacks.last.every_n_steps",
    "machine.threads",
    "machine.keep_memory",
)
_DOWNLOADED = ("data.root", "data.source.root")  # a dataset that can be fetched is the same wherever it lies
_FOLDERS = ("folder", "path", "dirpath", "peers", "cifar10h", "label_errors")  # of callbacks


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, fit for a checkpoint that loads under weights_only."""
    resolved = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def what_matters(config: Mapping[str, Any]) -> dict[str, Any]:
    """A composed configuration (plain values) as one flat dict without paths: `{"optimizer.lr": 0.1, …}`.

    It is fit for JSON: None stands for NaN and infinity. Classes of this project are known by their names, so
    that a run stays the same when a class moves.

    Pictures of one's own (`data=image_folder`) are known by their folder: it stays.
    """
    ignored = WHERE + (_DOWNLOADED if "download" in config.get("data", {}) else ())
    flat = {part: config[part] for part in ("seed", *learned()) if part in config}
    return without_modules(
        {
            key: finite(value)
            for key, value in flattened(flat)
            if key not in ignored
            and not (key.startswith("callbacks.") and key.rpartition(".")[2] in _FOLDERS)
        }
    )


def without_modules(matters: Mapping[str, Any]) -> dict[str, Any]:
    """`src.models.resnet.ResNet` becomes `ResNet`: earlier versions kept where a class was."""
    return {
        key: value.rpartition(".")[2] if key.endswith("_target_") and str(value).startswith("src.") else value
        for key, value in matters.items()
    }


def flattened(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, plain value) of nested dicts and lists; empty ones are values."""
    children = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    if not children or not value:
        yield key, value
    else:
        for name, child in children:
            yield from flattened(child, f"{key}.{name}" if key else str(name))


def identity(matters: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits of the SHA-256 of `what_matters`; the order of keys plays no part."""
    text = json.dumps(matters, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
