"""This bench, the leanest loop, and what courses teach, on one network and data."""

from benchmarks.training.sides import Setting, measure
from benchmarks.training.table import Table, ratios, spread

# ResNet18 with strides 2 in batches of 256, of width 32 and of width 16
CPU = ("experiment=cpu", "augment=standard")
SMALL = ("experiment=cpu", "size=cpu", "augment=standard")
BATCH = 256


def race(network: tuple[str, ...] = CPU, *, steps: int = 10, rounds: int = 10) -> Table:
    """Images a second, and the bench's by the others'; a step in fifty of the bench's is measured."""
    found = measure(
        {
            "this bench, default callbacks and loggers": Setting("trainer", network),
            "leanest loop": Setting("lean", network),
            "course code": Setting("course", network, channels_last=False, keep_memory=False),
        },
        steps=steps,
        rounds=rounds,
    )
    ours = next(iter(found.values()))
    rows = [
        (name, spread([BATCH / s for s in seconds], ".0f"), spread(ratios(seconds, ours)))
        for name, seconds in found.items()
    ]
    return Table(
        f"A Trainer against plain loops, {' '.join(network[:-1])}",
        ("loop", "images/s", "the bench is … times as fast"),
        rows,
        f"`python -m benchmarks.training race`. {' '.join(network)}, batches of {BATCH}; {rounds} rounds of "
        f"{steps} steps, in turn: medians, lowest and highest. The leanest loop: channels_last, kept memory, "
        "the same batched augmentation, no loader, no schedule, no metrics. Course code: NCHW, torchvision "
        "image by image in two loading workers, `.item()` at each step. Aim: 0.97 and 1.7.",
    )
