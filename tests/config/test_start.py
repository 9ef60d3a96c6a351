"""Answers that need no network library must not wait for one."""

import subprocess
import sys

import pytest

from src.config.groups import OF_THIS_CHECKOUT, RECIPES, SURROUNDINGS, groups
from src.config.help import help_text
from src.config.resolvers import CONF_DIR, NOT_COMPOSED

PROBE = """
import runpy, sys
sys.argv = ["src.train", *{args!r}]
try:
    runpy.run_module("src.train", run_name="__main__")
except SystemExit as stop:
    code = stop.code or 0
else:
    code = 0
heavy = sorted({{"torch", "lightning", "albumentations", "torchvision", "numpy"}} & set(sys.modules))
print("HEAVY", heavy, "CODE", code)
"""


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--help"], 0),
        (["--cfg", "job"], 0),
        (["optimizer.lrr=1"], 2),
        (["norm=lm"], 2),
        (["trainer.max_epochs=-1"], 2),
        (["norm=gn", "norm.num_groups=7"], 2),
        (["ckpt_path=/nowhere"], 2),
    ],
)
def test_nothing_heavy_is_imported(args: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(args=args)], capture_output=True, text=True, check=True
    )
    assert f"HEAVY [] CODE {code}" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (1 if code else 0)


def test_help_names_every_group_and_option() -> None:
    lines = help_text().splitlines()
    for folder in CONF_DIR.iterdir():
        if folder.is_dir() and folder.name not in ("hydra", *NOT_COMPOSED):
            assert any(line.startswith(f"{folder.name}=") for line in lines), folder.name
            assert len(groups()[folder.name].words) > 5
            for path in folder.glob("[!_]*.yaml"):
                line = next(
                    line for line in lines if line[2:].split()[1:2] == [path.stem] or f" {path.stem} " in line
                )
                assert len(line.split(path.stem, 1)[1].strip()) > 10, f"{path} starts without a comment"
    assert sum(line.startswith("  python -m src.train") for line in lines) >= 6


def test_every_group_is_declared_once() -> None:
    folders = {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()} - set(NOT_COMPOSED)
    assert set(groups()) == folders
    assert folders > RECIPES | SURROUNDINGS | OF_THIS_CHECKOUT
