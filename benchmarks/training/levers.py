"""What each lever brings by itself: taken from the full set, and added to the bare one."""

import statistics
from typing import Any

from benchmarks.training.sides import Setting, measure
from benchmarks.training.table import Table, ratios, spread

BATCH = 256
NETWORK = ("experiment=cpu",)
ON: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": True},
    "kept memory": {"keep_memory": True},
    "batched data": {"loader": "none"},
    "bf16": {"bf16": True},
}
OFF: dict[str, dict[str, Any]] = {
    "channels_last": {"channels_last": False},
    "kept memory": {"keep_memory": False},
    "batched data": {"loader": "torchvision"},
    "bf16": {"bf16": False},
}


def setting(norm: str, levers: set[str], *, augment: str = "standard", **more: Any) -> Setting:
    chosen = {key: value for name in ON for key, value in (ON if name in levers else OFF)[name].items()}
    return Setting("lean", (*NETWORK, f"norm={norm}", f"augment={augment}"), **chosen | more)


def levers(norm: str, *, steps: int = 4, rounds: int = 6) -> Table:
    """Two groups of sides, so that they fit into memory: around the full set, then around the bare one."""
    everything = set(ON)
    full = {"all levers": setting(norm, everything)}
    full |= {name: setting(norm, everything - {name}) for name in ON}
    full["albumentations"] = setting(norm, everything, augment="albumentations_standard")
    bare = {"no lever": setting(norm, set())} | {name: setting(norm, {name}) for name in ON}
    around_full = measure(full, steps=steps, rounds=rounds)
    around_bare = measure(bare, steps=steps, rounds=rounds)
    best, worst = around_full["all levers"], around_bare["no lever"]
    rows: list[tuple[str, ...]] = [
        (name, spread(ratios(around_full[name], best)), spread(ratios(worst, around_bare[name])))
        for name in ON
    ]
    rows.append(
        ("batched data, against albumentations", spread(ratios(around_full["albumentations"], best)), "")
    )
    rates = [f"{BATCH / statistics.median(seconds):.0f}" for seconds in (best, worst)]
    rows.append(("images/s with all levers, and with none", *rates))
    return Table(
        f"What each lever brings, norm={norm}",
        ("lever", "in the full set: … times as fast", "alone: … times as fast"),
        rows,
        f"`python -m benchmarks.training levers`. {' '.join(NETWORK)} in batches of {BATCH}, the leanest "
        f"loop without loading workers; {rounds} rounds of {steps} steps, in turn: medians of the "
        "rounds' ratios, lowest and highest. Batched data stands against torchvision, image by image.",
    )


def compiled(norm: str, *, steps: int = 4, rounds: int = 6) -> Table:
    """torch.compile on top of all levers; needs a C++ compiler."""
    sides = {"eager": setting(norm, set(ON)), "compiled": setting(norm, set(ON), compile=True)}
    found = measure(sides, steps=steps, rounds=rounds)
    gain = spread(ratios(found["eager"], found["compiled"]))
    return Table(
        f"torch.compile, norm={norm}",
        ("on top of all levers", "… times as fast"),
        [("module.compile", gain)],
        f"`python -m benchmarks.training compile`. {rounds} rounds of {steps} steps, in turn.",
    )
