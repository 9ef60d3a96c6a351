"""How fast the command line answers, against `import lightning`, in turn on the same machine.

    python benchmarks/startup.py

Prints the median seconds of each command and its ratio to the import; the bench promises less than 1/3.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 5
REFERENCE = [sys.executable, "-c", "import lightning"]
COMMANDS = {
    "--help": ["--help"],
    "--cfg job": ["--cfg", "job"],
    "optimizer.lrr=0.1": ["optimizer.lrr=0.1"],
    "norm=lm": ["norm=lm"],
    "norm=gn norm.num_groups=7": ["norm=gn", "norm.num_groups=7"],
    "-m norm=bn,ln,lm seed=0,1,2": ["-m", "norm=bn,ln,lm", "seed=0,1,2"],
    "-m norm=bn,ln,gn optimizer=sgd,adam optimizer.momentum=0.5": [
        *("-m", "norm=bn,ln,gn", "optimizer=sgd,adam", "optimizer.momentum=0.5")
    ],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[1])
    return time.perf_counter() - start


def main() -> None:
    commands = {name: [sys.executable, "-m", "src.train", *args] for name, args in COMMANDS.items()}
    for command in [REFERENCE, *commands.values()]:
        seconds(command)  # warm the disk cache
    times: dict[str, list[float]] = {name: [] for name in ["import lightning", *commands]}
    for _ in range(ROUNDS):
        times["import lightning"].append(seconds(REFERENCE))
        for name, command in commands.items():
            times[name].append(seconds(command))
    reference = statistics.median(times["import lightning"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<60} {median:6.2f} s   {median / reference:5.2f} of the import")


if __name__ == "__main__":
    main()
