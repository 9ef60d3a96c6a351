"""Run folders as `src.train` leaves them, with made-up numbers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONFIG = {"norm._target_": "bn", "optimizer.lr": 0.1, "data.batch_size": 64, "trainer.max_epochs": 3}


def made_run(
    folder: Path,
    *,
    seed: int = 0,
    norm: str = "bn",
    config: Mapping[str, Any] | None = None,
    status: str = "completed",
    val: float | None = 0.5,
    test: float | None = 0.4,
    options: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    curves: Mapping[str, Sequence[float]] | None = None,
    **facts: Any,
) -> Path:
    """A folder with summary.json, config.json and, given `curves` (a value an epoch), metrics.csv.

    Epochs have ten steps.
    """
    folder.mkdir(parents=True)
    summary = {"status": status, "seed": seed, "overrides": list(overrides)}
    summary["options"] = {"experiment": None, "norm": norm, "logger": "default"} | dict(options or {})
    summary |= {key: value for key, value in {"val/acc": val, "test/acc": test}.items() if value is not None}
    whole = {"seed": seed, "data.seed": seed} | CONFIG | {"norm._target_": norm} | dict(config or {})
    (folder / "summary.json").write_text(json.dumps(summary | facts))
    (folder / "config.json").write_text(json.dumps(whole))
    if curves:
        lines = [",".join(["epoch", "step", *curves])]
        for epoch, values in enumerate(zip(*curves.values(), strict=True)):
            lines.append(",".join(map(str, [epoch, 10 * epoch + 9, *values])))
        (folder / "metrics.csv").write_text("\n".join(lines))
    return folder
