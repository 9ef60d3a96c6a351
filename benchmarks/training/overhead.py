"""What a step costs beside its arithmetic, on a network that has hardly any."""

import statistics

from benchmarks.training.sides import Setting, measure
from benchmarks.training.table import Table

TINY: tuple[str, ...] = ("experiment=cpu", "augment=none", "norm=none", "model.width=1")
TINY += ("model.num_blocks=[1]", "model.strides=[2]", "data.batch_size=8")
BARE = ("callbacks=none", "logger=none")
ALL = "everything"


def overhead(*, steps: int = 100, rounds: int = 15) -> Table:
    """Microseconds a step with one part less at a time."""
    settings = {ALL: Setting("trainer", TINY)}
    for part in ("lr_monitor", "updates", "guards", "progress_bar", "epoch_line"):
        settings[f"callbacks.{part}"] = Setting("trainer", (*TINY, f"callbacks.{part}=null"))
    settings["explanations (callbacks=training)"] = Setting("trainer", (*TINY, "callbacks=training"))
    settings["loggers, and with them lr_monitor"] = Setting("trainer", (*TINY, "logger=none"))
    bare = "all callbacks and loggers: Lightning's loop, metrics, schedule, Recorder"
    settings[bare] = Setting("trainer", (*TINY, *BARE))
    loader, lean = "the Trainer: a plain loop with DataLoader", "the DataLoader, too: the leanest loop"
    settings[loader] = Setting("lean", TINY, loader="bench")
    settings[lean] = Setting("lean", TINY)
    found = measure(settings, steps=steps, rounds=rounds)
    rows = []
    for name, seconds in found.items():
        saved = [1e6 * (a - b) for a, b in zip(found[ALL], seconds, strict=True)]
        rows.append((name, f"{1e6 * statistics.median(seconds):.0f}", f"{statistics.median(saved):.0f}"))
    return Table(
        "What a step costs beside its arithmetic",
        ("without", "µs a step", "µs saved"),
        [("nothing: all of it", *rows[0][1:]), *rows[1:]],
        f"`python -m benchmarks.training overhead`. {' '.join(TINY)}; {rounds} rounds of {steps} steps, in "
        "turn: medians of the steps, and of the differences to the first line in the same round. The leanest "
        "loop's microseconds are forward, backward and SGD of this network.",
    )
