"""How long `python -m src.compare` takes for a thousand runs, and how much memory.

    python benchmarks/compare.py [<number of runs>]

Writes run folders of a real run's size (40 epochs of 176 steps, 22 layers measured every 50 steps) into a
temporary folder: five seeds of each variant. The bench promises 20 s and 1 GB for a thousand runs.
"""

import csv
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS, STEPS, LAYERS, SEEDS = 40, 176, 22, 5  # ResNet18 on CIFAR-10 in batches of 256
NORMS, OPTIMIZERS = ("bn", "ln", "gn", "in"), ("sgd", "adam", "adamw", "rmsprop", "lion")
ROOT = Path(__file__).parents[1]


def settings(number: int) -> dict[str, object]:
    """What varies: four norms, five optimizers, as many learning rates as are needed, five seeds."""
    variant, seed = divmod(number, SEEDS)
    rest, norm = divmod(variant, len(NORMS))
    rate, optimizer = divmod(rest, len(OPTIMIZERS))
    return {
        **{"seed": seed, "norm": NORMS[norm], "optimizer": OPTIMIZERS[optimizer]},
        "lr": 0.001 * 1.5**rate,
    }


def write_run(folder: Path, number: int) -> None:
    """The files that a comparison reads, of made-up contents."""
    folder.mkdir(parents=True)
    given, rng = settings(number), random.Random(number)
    acc = 0.8 + 0.01 * (number // SEEDS % 7) + rng.gauss(0, 0.003)
    facts = {
        **{"status": "completed", "seed": given["seed"], "identity": f"{number:012x}"},
        "options": {"experiment": None, "data": "cifar10", "trainer": "auto"}
        | {group: given[group] for group in ("norm", "optimizer")},
        "overrides": [f"{key}={value}" for key, value in given.items()],
        **{"num_params": 11173962, "epochs": EPOCHS, "train_seconds": rng.uniform(800, 900)},
        **{"images_per_second": rng.uniform(1000, 2000), "best_epoch": 38, "versions": {}},
        **{"val/acc": acc, "val/loss": 1 - acc, "test/acc": acc - 0.002, "test/ece": 0.03},
    }
    config = {"seed": given["seed"], "norm._target_": given["norm"]}
    config |= {"optimizer._target_": given["optimizer"], "optimizer.lr": given["lr"]}
    config |= {f"module.key{k}": k for k in range(180)}  # as many keys as a real one has
    (folder / "summary.json").write_text(json.dumps(facts, indent=2))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    with (folder / "metrics.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["epoch", "lr-SGD", "step", "train/acc", "train/loss", "train/loss_step", "val/acc", "val/loss"]
        )
        for epoch in range(EPOCHS):
            learned = acc * (1 - math.exp(-(epoch + 1) / 8))
            for step in range(epoch * STEPS + 9, (epoch + 1) * STEPS, 10):
                table.writerow(["", rng.random(), step, "", "", "", "", ""])
                table.writerow([epoch, "", step, "", "", rng.random(), "", ""])
            last = (epoch + 1) * STEPS - 1
            table.writerow([epoch, "", last, "", "", "", learned, 2 - learned])
            table.writerow([epoch, "", last, learned, 2 - learned, "", "", ""])
    with (folder / "updates.csv").open("w", newline="") as file:
        table = csv.writer(file)
        names = (
            "step",
            "layer",
            "lr",
            "grad_norm",
            "weight_norm",
            "update",
            "angle",
            "equilibrium",
            "clipped",
        )
        table.writerow(names)
        for step in range(0, EPOCHS * STEPS, 50):
            for layer in ["all", *(f"stage{k // 5}.block{k % 5}.conv1" for k in range(LAYERS - 1))]:
                table.writerow([step, layer, *(f"{rng.random():.9g}" for _ in names[2:])])


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "multiruns" / "sweep"
        for number in range(count):
            write_run(sweep / f"{number}_run", number)
        size = sum(path.stat().st_size for path in sweep.rglob("*") if path.is_file())
        print(f"{count} runs, {size / 2**20:,.0f} MiB")
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "src.compare", str(sweep)], check=True, cwd=ROOT, capture_output=True
        )
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # KiB on Linux
        print(f"{seconds:.1f} s, {peak:.2f} GiB at most")


if __name__ == "__main__":
    main()
