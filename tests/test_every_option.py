"""Every file in every group composes and trains one step on generated data."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from src.config.resolvers import CONF_DIR, NOT_COMPOSED
from src.notebook import compose_all, train
from src.runs.summary import read_summary
from tests.conftest import TINY

GROUPS = sorted({folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()} - {"hydra", *NOT_COMPOSED})
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF_DIR / group).glob("[!_]*.yaml"))]
SHORT = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.limit_val_batches=1"]
SHORT += ["trainer.limit_test_batches=1"]
FIXTURES = {"tiny_imagenet": "fake_tiny_imagenet", "image_folder": "fake_folder"}
NEEDS = {
    "tiny_imagenet": ["data.num_train=600", "data.num_val=200"],
    "tiny_imagenet_pooled": ["data.num_train=560", "data.num_val=0"],  # a class may have one image
    "cifar10": ["data.num_train=400", "data.num_val=40"],
    "cifar100": ["data.num_train=400", "data.num_val=100"],
    "image_folder": ["data.num_val=3"],
    "digits": [],
    "squares": [],
}
# Groups whose options explanations depend on; a run of any other goes without, which halves its time
EXPLAINED = ("callbacks", "data", "experiment", "logger", "model", "norm", "resize", "tta")
NO_FILES = {"quickstart": "digits", "explanation_health": "squares"}  # options of data that needs no files


def test_the_glob_finds_the_groups() -> None:
    found = dict.fromkeys(group for group, _ in OPTIONS)
    wanted = (
        "augment average callbacks data debug experiment init logger loss machine model module norm "
        "optimizer paths resize scheduler select size trainer tta"
    )
    assert set(found) == set(wanted.split())
    assert len(OPTIONS) >= 45


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=str)
def test_option_trains_one_step(
    group: str, option: str, run_tiny: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    if option == "gpu" and not torch.cuda.is_available():
        pytest.skip("trainer=gpu needs a CUDA GPU; this machine has none")
    if option == "mlflow" and find_spec("mlflow") is None:
        pytest.skip("logger=mlflow needs the package mlflow, which the lock leaves out")
    data = option if group == "data" else NO_FILES.get(option, "cifar10")
    overrides = [f"{group}={option}", "model.width=8", *SHORT, *NEEDS[data]]
    if group not in EXPLAINED:
        overrides.append("callbacks=training")
    if (group, option) == ("callbacks", "explanation_health"):
        overrides.append("data=squares")
    if group == "experiment" and "num_val: 0" in (CONF_DIR / group / f"{option}.yaml").read_text():
        overrides = [o for o in overrides if not o.startswith("data.num_val")]
    if data not in NO_FILES.values():
        fixture = next((name for key, name in FIXTURES.items() if data.startswith(key)), "fake_cifar")
        overrides.append(f"data.root='{request.getfixturevalue(fixture)}'")
    if option == "wandb":
        overrides.append("logger.wandb.offline=true")
    if option == "ddp":
        overrides.append("trainer.devices=1")
    if group == "trainer":
        overrides = [o for o in overrides if not o.startswith("trainer.accelerator")]

    if group == "experiment" and "mode: MULTIRUN" in (CONF_DIR / group / f"{option}.yaml").read_text():
        run_dir = train(compose_all(*TINY, *overrides)[0])
    else:
        run_dir = run_tiny(*overrides)
    facts = read_summary(run_dir)

    assert facts["status"] == "completed"
    assert facts["epochs"] == 1
    if option == "none" and group == "callbacks":
        return
    assert math.isfinite(facts["train/loss"])
    assert 0 <= facts["test/acc"] <= 1
