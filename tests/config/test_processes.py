"""Hydra's own keys, and runs of several processes: what cannot work is told before anything starts."""

import pytest

from src.config.check import check
from src.config.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*validated against ConfigStore schema")
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["hydra/launcher=jobli"], "Did you mean hydra/launcher=joblib?"),
        (["hydra/launcher=joblib", "hydra.launcher.njobs=2"], "Did you mean hydra.launcher.n_jobs?"),
        (["hydra/launcher=submitit_slurm", "hydra.launcher.mem=8"], "Did you mean hydra.launcher.mem_gb?"),
        ([*DDP, "seed=0,1"], "a sweep (-m) cannot start runs of several processes (trainer.devices=2"),
        (["trainer=cpu", "trainer.devices=1,2"], "trainer.devices=2"),
        ([*DDP, "hydra/launcher=joblib"], "set trainer.devices=1"),
    ],
)
def test_sweeps_that_cannot_work(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        check(overrides, sweep=True)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"],
        ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
        [*DDP, "hydra/launcher=submitit_slurm", "hydra.launcher.tasks_per_node=2", "hydra.launcher.qos=long"],
        ["trainer=ddp", "trainer.devices=[1]"],
    ],
)
def test_sweeps_that_work(overrides: list[str]) -> None:
    check(overrides, sweep=True)


@pytest.mark.parametrize("several", [{"WORLD_SIZE": "2"}, {"SLURM_NTASKS": "2"}, {}])
def test_processes_that_others_start_need_a_folder_by_name(
    several: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in several.items():
        monkeypatch.setenv(name, value)
    overrides = [*DDP, *([] if several else ["trainer.num_nodes=2"])]
    with pytest.raises(ConfigError, match=r"add hydra.run.dir=outputs/train/runs/<name>"):
        check(overrides, sweep=False)
    check([*overrides, "hydra.run.dir=somewhere"], sweep=False)


def test_one_machine_needs_no_name_for_the_folder() -> None:
    check(DDP, sweep=False)
