"""The check of a CUDA card, tried on the CPU with a tiny network: every part, and one that fails."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu


@pytest.mark.slow
def test_all_parts_run_and_one_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"TINY": "1", "OUT": str(tmp_path), "DATA_ROOT": ""}.items():
        monkeypatch.setenv(key, value)

    def command(part: str) -> list[str]:
        broken = [sys.executable, "-c", "raise SystemExit('ValueError: no such card')"]
        return broken if part == "resnet18_ln" else gpu.part_command(part)

    gpu.check(gpu.settings(), command)
    result = json.loads((tmp_path / "result.json").read_text())
    parts = result["parts"]
    assert parts.pop("resnet18_ln")["state"] == "failed: ValueError: no such card"
    assert {part: found["state"] for part, found in parts.items()} == dict.fromkeys(
        ("smoke", "speed", "speed_94", "resnet18_ln_seed_2"), "done"
    )
    smoke = {name: found for name, found in parts["smoke"].items() if name.startswith("norm")}
    assert list(smoke.values()) == ["ok"] * 7
    for strides in gpu.STRIDES:
        for side in gpu.SIDES:
            assert min(parts["speed"][f"{strides} {side}"]["images_per_second"]) > 0
        assert min(parts["speed"][f"{strides} Trainer, loader / bare loop, loader"]["ratios"]) > 0
    assert 0 <= parts["speed_94"]["test/acc_tta"] <= 1
    assert parts["resnet18_ln_seed_2"]["seed"] == 2
    table = (tmp_path / "table.md").read_text()
    assert table.startswith("card no CUDA card, driver none, CUDA ")
    assert f"torch {gpu.machine()['torch']}" in table
    assert re.search(
        r"^\| resnet18_ln \| [\d.]+ s \| failed: ValueError: no such card \|$", table, re.MULTILINE
    )


@pytest.mark.slow
def test_a_part_that_does_not_fit_is_left_out_and_one_that_hangs_is_cut_off(tmp_path: Path) -> None:
    how = gpu.Settings(tmp_path, budget=6.0 + gpu.RESERVE, data_root="", tiny=False)

    def command(part: str) -> list[str]:
        if part == "resnet18_ln":
            gpu.write_json(tmp_path / "parts/resnet18_ln.json", {"seconds": 2000.0})
        return [sys.executable, "-c", "import time; time.sleep(60)" if part == "speed" else ""]

    parts = gpu.check(how, command)["parts"]
    assert parts["resnet18_ln"]["state"] == "done"
    assert parts["speed"]["state"].startswith("cut off after ")
    assert parts["resnet18_ln_seed_2"]["state"].startswith("left out: it needs 2000 s, ")


def test_another_seed_waits_for_a_first_one_that_finished(tmp_path: Path) -> None:
    how = gpu.Settings(tmp_path, budget=5.0 + gpu.RESERVE, data_root="", tiny=False)
    parts = gpu.check(how, lambda _: [sys.executable, "-c", ""])["parts"]
    assert parts["resnet18_ln_seed_2"]["state"].startswith("left out: resnet18_ln did not finish, ")


def test_a_recipe_keeps_its_own_batches(tmp_path: Path) -> None:
    how = gpu.Settings(tmp_path, budget=5.0, data_root="/cifar", tiny=False)
    assert how.data == ["data=cifar10", "data.root='/cifar'", "trainer=gpu", "data.batch_size=256"]
    assert how.recipe == ["data=cifar10", "data.root='/cifar'", "trainer=gpu"]


def test_without_cifar10_the_recipes_say_so(tmp_path: Path) -> None:
    how = gpu.Settings(tmp_path, budget=1.0, data_root="", tiny=False)
    with pytest.raises(RuntimeError, match="DATA_ROOT is not set"):
        gpu.parts(how)["resnet18_ln"](how, gpu.Notes(tmp_path / "x.json"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA card")
def test_a_machine_without_a_card_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINY", raising=False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="there is no CUDA card here"):
        gpu.main()
