"""Whether a change of the code changed a number: record some short runs before it and after it, and compare.

    python tests/behaviour.py record <folder>          # of this checkout; two minutes, one thread
    python tests/behaviour.py compare <folder> <folder>

It only runs commands and reads files, so it works from any checkout, whatever things are called there. Both
records must come from one machine: another processor rounds otherwise.
"""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
BASE = ["data=digits", "model.width=8", "model.strides=[2,2,2,2]", "trainer=cpu", "trainer.max_epochs=3"]
BASE += ["trainer.limit_train_batches=6", "machine.threads=1"]
RUNS = {
    "bn-sgd-onecycle": ["norm=bn", "optimizer=sgd", "scheduler=onecycle"],
    "bn-adamw-cosine": ["norm=bn", "optimizer=adamw", "scheduler=cosine", "average=ema"],
    "bn-muon-step": ["norm=bn", "optimizer=muon", "scheduler=step"],
    "ln-sgd-plateau": ["norm=ln", "optimizer=sgd", "scheduler=plateau"],
    "ln-adamw-onecycle": ["norm=ln", "optimizer=adamw", "scheduler=onecycle", "loss.label_smoothing=0.1"],
    "ln-muon-cosine": ["norm=ln", "optimizer=muon", "scheduler=cosine", "tta=flip"],
    "gn-sgd-step": ["norm=gn", "optimizer=sgd", "scheduler=step", "trainer.accumulate_grad_batches=2"],
    "gn-adamw-plateau": ["norm=gn", "optimizer=adamw", "scheduler=plateau", "data.num_val=100"],
    "gn-muon-onecycle": ["norm=gn", "optimizer=muon", "scheduler=onecycle", "model=resnet9"],
    "resized-selected": ["resize=progressive", "select=hardest", "module.l1=1e-5"],
}
RUNS["gn-muon-onecycle"] += ["~model.strides"]
SWEEP = ["norm=bn,ln", "seed=0,1", "callbacks=training", "trainer.max_epochs=1"]
# What differs between two runs of the same code
VARIES = (
    "started",
    "git_commit",
    "git_dirty",
    "train_seconds",
    "images_per_second",
    "checksum",
    "command",
    "resumed",
)
VARIES += ("train/seconds", "train/images_per_second", "time s", "images/s", "seconds", "time")


def record(out: Path) -> None:
    """Run everything into `out`, and write what came of it to `out/record.json`."""
    shutil.rmtree(out, ignore_errors=True)
    runs = out / "runs"
    for name, overrides in RUNS.items():
        command("train", *base(overrides), *overrides, f"hydra.run.dir={runs / name}", out=out)
    resumed = runs / "resumed"
    typed = [*BASE, "optimizer=adamw", "trainer.max_epochs=4", f"hydra.run.dir={resumed}"]
    interrupted(typed, out)
    command("train", f"resume={resumed}", out=out)
    command("train", "-m", *BASE, *SWEEP, f"hydra.sweep.dir={out / 'sweep'}", out=out)
    first = runs / "bn-sgd-onecycle"
    command("evaluate", f"run={first}", f"out={out / 'evaluate'}", out=out)
    command("explain", f"run={first}", "images=0,1", f"out={out / 'explain'}", out=out)
    command("export", f"run={first}", f"out={out / 'export'}", out=out)
    command("compare", str(runs), f"out={out / 'compare'}", out=out)
    found = {
        str(path.relative_to(out)): content for path in sorted(out.rglob("*")) if (content := read(path))
    }
    text = json.dumps(found, indent=1, sort_keys=True).replace(str(out), "<out>")
    (out / "record.json").write_text(text)
    print(f"{len(found)} files: {out / 'record.json'}")


def base(overrides: list[str]) -> list[str]:
    """`BASE` without the keys that a run removes."""
    removed = [o[1:] for o in overrides if o.startswith("~")]
    return [o for o in BASE if o.partition("=")[0] not in removed]


def command(name: str, *args: str, out: Path) -> None:
    """`python -m src.<name>` without the overrides that only take a key out of `BASE`."""
    typed = [sys.executable, "-m", f"src.{name}", *(arg for arg in args if not arg.startswith("~"))]
    done = subprocess.run(typed, cwd=ROOT, env=environment(out), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(typed)}:\n{done.stdout}{done.stderr}")


def environment(out: Path) -> dict[str, str]:
    return os.environ | {"OUTPUT_DIR": str(out / "outputs"), "OMP_NUM_THREADS": "1"}


def interrupted(overrides: list[str], out: Path) -> None:
    """A run that is told to stop after its first epoch; when exactly it does changes no number."""
    typed = [sys.executable, "-m", "src.train", *overrides]
    with subprocess.Popen(typed, cwd=ROOT, env=environment(out), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("epoch 1/"):
                run.send_signal(signal.SIGTERM)


def read(path: Path) -> Any:
    """What must stay the same in a file; None for files of other kinds."""
    reader = READERS.get(path.name, READERS.get(path.suffix))
    return reader(path) if reader and path.is_file() and "outputs" not in path.parts else None


def read_weights(path: Path) -> dict[str, str]:
    from safetensors.torch import load_file

    state = (
        load_file(path)
        if path.suffix == ".safetensors"
        else torch.load(path, weights_only=True)["state_dict"]
    )
    return digest(state)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k not in VARIES} for row in csv.DictReader(file)]


def read_facts(path: Path) -> dict[str, Any]:
    facts = json.loads(path.read_text(encoding="utf-8"))
    return {key: value for key, value in facts.items() if key not in (*VARIES, "overrides")}


def read_picture(path: Path) -> str:
    return hashlib.sha256(np.asarray(Image.open(path)).tobytes()).hexdigest()


READERS: dict[str, Callable[[Path], Any]] = {
    **{".ckpt": read_weights, ".safetensors": read_weights, ".csv": read_rows, ".png": read_picture},
    **{"summary.json": read_facts, "curves.png": lambda _: None},  # curves have seconds in them
}


def digest(state: dict[str, torch.Tensor]) -> dict[str, str]:
    """Name -> hash of a tensor's numbers."""
    return {
        name: hashlib.sha256(value.contiguous().flatten().view(torch.uint8).numpy().tobytes()).hexdigest()[
            :16
        ]
        for name, value in state.items()
        if value.numel()
    }


def differences(one: Any, other: Any, at: str) -> Iterator[str]:
    """Where two records differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{at}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for n, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{at}/{n}")
    elif one != other:
        yield f"{at}: {str(one)[:100]} | {str(other)[:100]}"


def main() -> None:
    what, *folders = sys.argv[1:]
    if what == "record":
        record(Path(folders[0]).resolve())
        return
    one, other = (json.loads((Path(folder) / "record.json").read_text()) for folder in folders)
    found = list(differences(one, other, ""))
    print("\n".join(found) or f"{len(one)} files: no difference")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
