"""What one CUDA card does with this bench, within a time budget; `bash benchmarks/gpu.sh` runs it.

Five parts, each in a process of its own: smoke, speed_94, resnet18_ln, speed, more seeds of resnet18_ln. A
part writes each number to `<OUT>/parts/<part>.json` as soon as it has it; result.json and table.md follow
after each part, so that a run that is cut off keeps what it has. If a part fails, its reason is written
and the next one runs.
"""

import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from torch.nn import functional as F

from benchmarks.training.table import ratios, spread
from src.config.build import build
from src.data.datamodule import ImageDataModule
from src.files import atomic_write
from src.notebook import compose, train_in
from src.runs.summary import read_summary

ROOT = Path(__file__).parents[1]
IMAGES = 50_000
BATCH = 256
STRIDES = ("[1,1,2,2]", "[1,2,2,2]")
RESERVE = 10.0  # seconds that are kept for the end


class Settings(NamedTuple):
    """What the environment asks for."""

    out: Path
    budget: float  # seconds
    data_root: str  # "": no CIFAR-10
    tiny: bool  # on a CPU, with a network of width 8: does the check itself run?

    @property
    def data(self) -> list[str]:
        """CIFAR-10 in batches of `BATCH`, or else generated images; a batch of digits if tiny."""
        if self.tiny:
            return ["data=digits", "data.batch_size=16", "model.width=8", "trainer=cpu"]
        source = self.cifar10 if self.data_root else ["data=squares", "trainer=gpu"]
        return [*source, f"data.batch_size={BATCH}"]

    @property
    def cifar10(self) -> list[str]:
        """CIFAR-10 on the card; all else is the experiment's own."""
        return ["data=cifar10", f"data.root='{self.data_root}'", "trainer=gpu"]

    @property
    def recipe(self) -> list[str]:
        """What a whole recipe needs here; two batches of it if tiny."""
        short = ["trainer.max_epochs=1", "trainer.limit_train_batches=2"]
        return [*self.data, *short] if self.tiny else self.cifar10


def settings() -> Settings:
    env = os.environ
    out = Path(env.get("OUT", "outputs/gpu")).absolute()
    return Settings(out, float(env.get("BUDGET_S", "540")), env.get("DATA_ROOT", ""), bool(env.get("TINY")))


class Notes:
    """A part's results, on the disk after each of them."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, read_json(path)

    def add(self, **values: Any) -> None:
        self.found |= values
        write_json(self.path, self.found)


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        json.dump(content, file, indent=2)


# Smoke: pairs of norm and optimizer train two steps, and write Grad-CAM


def smoke(how: Settings, notes: Notes) -> None:
    """Two steps and a test of one batch each; a combination that fails leaves its reason."""
    steps = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"]
    steps += ["trainer.limit_test_batches=1", "callbacks.projector.num_images=10", "scheduler=onecycle"]
    combinations = [
        (f"norm={norm}", f"optimizer={optimizer}", "trainer.precision=bf16-mixed")
        for norm in ("bn", "ln", "gn")
        for optimizer in ("sgd", "adam")
    ]
    combinations.append(("norm=ln", "optimizer=sgd", "trainer.precision=32-true"))
    if not how.tiny:  # compiling takes minutes on a CPU
        combinations.append(("norm=ln", "module.compile=true", "trainer.precision=bf16-mixed"))
    for combination in combinations:
        notes.add(**{" ".join(combination): attempt(partial(trained, how, *steps, *combination))})


def trained(how: Settings, *overrides: str) -> str:
    """Train a run into a temporary folder.

    Raises:
        RuntimeError: the test loss is not finite, or there is no Grad-CAM picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        train_in(Path(folder), compose(*how.data, *overrides))
        if not math.isfinite(read_summary(folder)["test/loss"]):
            raise RuntimeError("the test loss is not finite")
        if not (Path(folder) / "grad_cam.png").is_file():
            raise RuntimeError("no grad_cam.png")
    return "ok"


def attempt(action: Callable[[], str]) -> str:
    """What an action returns, or the reason why it failed, in one line."""
    try:
        return action()
    except Exception as error:
        traceback.print_exc()
        return f"failed: {reason(error)}"


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


# Speed: our Trainer beside the leanest loop, in one process


class OnCard(ImageDataModule):
    """One batch that already lies on the device, again and again: nothing is loaded."""

    def train_dataloader(self) -> Any:
        loader = super().train_dataloader()
        batch = [part.to(self.device) for part in next(iter(loader))]
        return Same(loader, batch)


class Same:
    """A loader whose batches are all the same."""

    def __init__(self, loader: Any, batch: Any) -> None:
        self.loader, self.batch = loader, batch

    def __iter__(self) -> Iterator[Any]:
        return repeat(self.batch, len(self.loader))

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class Stretch(L.Callback):
    """Times `count` steps after `skip` of them; with `waits` it counts the waits for the device instead."""

    def __init__(self, skip: int, count: int, *, waits: bool = False) -> None:
        self.skip, self.count, self.waits, self.steps = skip, count, waits, 0
        self.images, self.seconds, self.start = 0, math.nan, 0.0
        self.caught = warnings.catch_warnings(record=True)
        self.seen: list[warnings.WarningMessage] = []

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.steps += 1
        if self.steps == self.skip:
            synchronize()
            if self.waits:
                self.seen = self.caught.__enter__() or []
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
            self.start = time.perf_counter()
        elif self.steps == self.skip + self.count:
            if self.waits:
                torch.cuda.set_sync_debug_mode("default")
                self.caught.__exit__(None, None, None)
            synchronize()
            self.seconds = time.perf_counter() - self.start
            trainer.should_stop = True

    @property
    def places(self) -> list[str]:
        """Where a step waited for the device."""
        return [f"{w.filename}:{w.lineno}" for w in self.seen if "synchroniz" in str(w.message)]


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def speed(how: Settings, notes: Notes) -> None:
    """Images a second, by the strides; seconds are those of a stretch of steps, warm."""
    skip, count, rounds = (2, 2, 1) if how.tiny else (20, 60, 3)
    num_images = count * (16 if how.tiny else BATCH)
    many: list[str] = []
    if not (how.tiny or how.data_root):  # enough for one epoch, and they take seconds each time
        many, rounds = ["data.num_train=25000"], 1
    for strides in STRIDES:
        network = [*how.data, *many, f"model.strides={strides}", "trainer.precision=bf16-mixed", "norm=bn"]
        found: dict[str, list[float]] = {}
        for _ in range(rounds):  # in turn: what disturbs the machine disturbs all of them
            for name, measure in SIDES.items():
                found.setdefault(name, []).append(num_images / measure(network, skip, count))
                notes.add(**{f"{strides} {name}": {"images_per_second": found[name]}})
        for ours, bare in (
            ("Trainer, loader", "bare loop, loader"),
            ("Trainer, on card", "bare loop, on card"),
        ):
            notes.add(**{f"{strides} {ours} / {bare}": {"ratios": ratios(found[ours], found[bare])}})
    # No callback logs or measures in these steps
    silent = [f"{key}=100000" for key in ("trainer.log_every_n_steps", "callbacks.updates.every_n_steps")]
    silent += [f"callbacks.{key}=100000" for key in ("guards.every_n_steps", "progress_bar.refresh_rate")]
    if torch.cuda.is_available():
        places = fitted([*network, *silent], Stretch(skip, count, waits=True)).places
        notes.add(device_waits={"steps": count, "waits": len(places), "places": sorted(set(places))})
    else:
        notes.add(device_waits="not counted: no CUDA device")


def fitted(overrides: list[str], stretch: Stretch, *, on_card: bool = False) -> Stretch:
    """Train as `src.train` does, with its callbacks of training and loggers, until the stretch is over."""
    experiment = compose(
        *(*overrides, "callbacks=training", "trainer.max_epochs=100", "trainer.limit_val_batches=0"),
        "~callbacks.best",  # it chooses by a validation, and there is none
    )
    if on_card:
        experiment.cfg.data._target_ = "benchmarks.gpu.OnCard"
    with tempfile.TemporaryDirectory() as folder:
        train_in(Path(folder), experiment, callbacks=[stretch], test=False)
    return stretch


def bare(overrides: list[str], skip: int, count: int, *, on_card: bool = False) -> float:
    """Seconds of the leanest loop: no schedule, no metrics, no clipping."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cfg = compose(*overrides, "paths.run_dir=.").cfg
    if on_card:
        cfg.data._target_ = "benchmarks.gpu.OnCard"
    data, net = build(cfg.data), build(cfg.model).to(device, memory_format=torch.channels_last)
    data.trainer = build(cfg.trainer, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    data.setup("fit")
    optimizer = build(cfg.optimizer)(net.parameters())
    start, loader = 0.0, data.train_dataloader()
    for step, batch in enumerate(endless(loader), start=1):
        images, labels = (part.to(device, non_blocking=True) for part in batch)
        with torch.autocast(device.type, torch.bfloat16):
            loss = F.cross_entropy(net(images.to(memory_format=torch.channels_last)), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step == skip:
            synchronize()
            start = time.perf_counter()
        if step == skip + count:
            synchronize()
            return time.perf_counter() - start
    raise AssertionError("unreachable: the batches never end")


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def loading(overrides: list[str], skip: int, count: int) -> float:
    """Seconds of the loader alone, to batches on the device."""
    cfg = compose(*overrides, "paths.run_dir=.").cfg
    data = build(cfg.data)
    data.trainer = build(cfg.trainer, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    data.setup("fit")
    start = 0.0
    for step, batch in enumerate(endless(data.train_dataloader()), start=1):
        for part in batch:
            part.to(data.device, non_blocking=True)
        if step == skip:
            synchronize()
            start = time.perf_counter()
        if step == skip + count:
            synchronize()
            return time.perf_counter() - start
    raise AssertionError("unreachable: the batches never end")


SIDES: dict[str, Callable[[list[str], int, int], float]] = {
    "Trainer, loader": lambda how, skip, count: fitted(how, Stretch(skip, count)).seconds,
    "bare loop, loader": bare,
    "Trainer, on card": lambda how, skip, count: fitted(how, Stretch(skip, count), on_card=True).seconds,
    "bare loop, on card": lambda how, skip, count: bare(how, skip, count, on_card=True),
    "loader alone": loading,
}


# Whole recipes


def recipe(experiment: str, seed: int | None = None, *more: str) -> Callable[[Settings, Notes], None]:
    """A part that trains an experiment whole and notes accuracy and seconds."""

    def run(how: Settings, notes: Notes) -> None:
        if not (how.data_root or how.tiny):
            raise RuntimeError("DATA_ROOT is not set: there is no CIFAR-10 to train on")
        overrides = [f"experiment={experiment}", *how.recipe, *more, "callbacks=training"]
        overrides += [f"seed={seed}"] if seed is not None else []
        run_dir = how.out / "runs" / notes.path.stem
        shutil.rmtree(run_dir, ignore_errors=True)
        run_dir.mkdir(parents=True)
        start = time.perf_counter()
        train_in(run_dir, compose(*overrides))
        facts = read_summary(run_dir)
        kept = ("test/acc", "test/acc_tta", "epochs", "seed", "train_seconds", "images_per_second", "command")
        notes.add(**{key: facts[key] for key in kept if key in facts}, seconds=time.perf_counter() - start)

    return run


def parts(how: Settings) -> dict[str, Callable[[Settings, Notes], None]]:
    """Name -> what it does, in their order."""
    bf16 = "trainer.precision=bf16-mixed"  # the original trained in float32
    on_cpu = ["trainer.precision=32-true"] if how.tiny else []
    seeds = (2,) if how.tiny else (2, 3, 4, 5)
    return {
        "smoke": smoke,
        "speed_94": recipe("speed_94", None, *on_cpu),
        "resnet18_ln": recipe("resnet18_ln", None, bf16),
        "speed": speed,
        **{f"resnet18_ln_seed_{seed}": recipe("resnet18_ln", seed, bf16) for seed in seeds},
    }


# All parts, one after the other


def expected(part: str, done: dict[str, dict[str, Any]]) -> float:
    """Seconds that another seed of resnet18_ln takes, by the first; 0 for the other parts."""
    again = part.startswith("resnet18_ln_")
    return float(done["resnet18_ln"].get("seconds", math.inf)) if again else 0.0


def check(how: Settings, command: Callable[[str], list[str]]) -> dict[str, Any]:
    """Run all parts; each gets what is left of the budget.

    Args:
        command: part -> what runs it and writes `<out>/parts/<part>.json`.
    """
    end = time.monotonic() + how.budget - (0 if how.tiny else RESERVE)
    (how.out / "parts").mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"machine": machine(), "tiny": how.tiny, "parts": {}}
    for part in parts(how):
        path = how.out / "parts" / f"{part}.json"
        path.unlink(missing_ok=True)
        left, needs = end - time.monotonic(), 0.0 if how.tiny else expected(part, result["parts"])
        start = time.monotonic()
        if left < max(needs, 1.0):
            why = f"it needs {needs:.0f} s" if needs < math.inf else "resnet18_ln did not finish"
            state = f"left out: {why}, {max(left, 0):.0f} s are left"
        else:
            print(f"{part}: at most {left:.0f} s", flush=True)
            state = supervised(command(part), path.with_suffix(".log"), left)
        seconds = round(time.monotonic() - start, 1)
        result["parts"][part] = {"state": state, "part_seconds": seconds, **read_json(path)}
        print(f"{part}: {result['parts'][part]['state']}, {seconds} s", flush=True)
        write_json(how.out / "result.json", result)
        with atomic_write(how.out / "table.md") as file:
            file.write(table(result))
    return result


def supervised(command: list[str], log: Path, seconds: float) -> str:
    """Run a command for so long; "done", or why not."""
    with log.open("w") as file:
        try:
            done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=file, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return f"cut off after {seconds:.0f} s"
    last = (log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]
    return "done" if done.returncode == 0 else f"failed: {last[:300]}"


def machine() -> dict[str, str]:
    """Card, driver and versions."""
    card, driver = "no CUDA card", "none"
    if torch.cuda.is_available():
        card = torch.cuda.get_device_name()
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, check=False)
        driver = done.stdout.strip().splitlines()[0] if done.returncode == 0 else "unknown"
    names = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "captum")
    return {
        **{"card": card, "driver": driver, "CUDA": torch.version.cuda or "none"},
        "cuDNN": str(torch.backends.cudnn.version() or "none"),  # type: ignore[no-untyped-call]
        "Python": platform.python_version(),
        **{name: version(name) for name in names},
        **{"cores": str(os.cpu_count()), "date": time.strftime("%Y-%m-%d")},
    }


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    about = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    lines = [f"{about}.{' A tiny network: only whether the check runs.' if result['tiny'] else ''}", ""]
    lines += ["| part | what | result |", "|---|---|---:|"]
    for part, found in result["parts"].items():
        lines.append(f"| {part} | {found['part_seconds']} s | {found['state']} |")
        lines += [f"| {part} | {name} | {shown} |" for name, shown in rows(found)]
    return "\n".join(lines) + "\n"


def rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a part found, in words."""
    for name, value in found.items():
        if name in ("state", "part_seconds", "command", "epochs", "seed", "seconds"):
            continue
        if name == "device_waits" and isinstance(value, dict):
            places = f" ({', '.join(value['places'])})" if value["places"] else ""
            yield "waits for the device in a step", f"{value['waits'] / value['steps']:g}{places}"
        elif isinstance(value, dict):
            numbers = value.get("images_per_second")
            yield name, f"{spread(numbers, ',.0f')} images/s" if numbers else spread(value["ratios"])
        elif isinstance(value, float):
            yield name, f"{100 * value:.2f} %" if "acc" in name else f"{value:,.1f}"
        else:
            yield name, str(value)


def part_command(part: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.gpu", part]


def main() -> None:
    how = settings()
    if len(sys.argv) > 1:
        (part,) = sys.argv[1:]
        try:
            parts(how)[part](how, Notes(how.out / "parts" / f"{part}.json"))
        except Exception as error:
            traceback.print_exc()
            sys.exit(reason(error))
        return
    if not (how.tiny or torch.cuda.is_available()):
        sys.exit("error: there is no CUDA card here. TINY=1 tries the check itself on the CPU.")
    check(how, part_command)
    print((how.out / "table.md").read_text())


if __name__ == "__main__":
    main()
