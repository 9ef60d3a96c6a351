"""`trainer.precision=auto`: what it stands for, that all runs of a command share it, and slow choices."""

from pathlib import Path

import pytest
import torch

from src.config import precision
from src.config.check import check
from src.config.cli import prepare
from src.config.identity import identity, plain, what_matters
from src.config.precision import Timing, fastest, precision_override, slow_choice
from src.notebook import compose, train
from src.runs.summary import read_summary
from tests.conftest import TINY

FASTER, SLOWER = Timing(2.0, 1.0), Timing(10.0, 150.0)  # a processor with bfloat16, and one that emulates it
SHORT = [*TINY, "data=digits", "model.width=4", "model.strides=[2,2,2,2]", "callbacks=none", "logger=none"]
SHORT += ["trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_test_batches=1"]


def times(monkeypatch: pytest.MonkeyPatch, timing: Timing) -> None:
    """Let this processor be one with these times."""
    monkeypatch.setattr(precision, "timing", lambda _: timing)


@pytest.mark.parametrize(
    ("timing", "expected"),
    [(Timing(1.29, 1.0), "32-true"), (Timing(1.31, 1.0), "bf16-mixed"), (SLOWER, "32-true")],
)
def test_a_cpu_takes_bfloat16_from_1_3_times_as_fast(
    monkeypatch: pytest.MonkeyPatch, timing: Timing, expected: str
) -> None:
    times(monkeypatch, timing)
    assert fastest("cpu", "unused") == expected
    assert compose("experiment=speed_86", "trainer.accelerator=cpu").cfg.trainer.precision == expected


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")]
)
def test_cuda_takes_bfloat16_from_ampere(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    times(monkeypatch, FASTER if expected == "32-true" else SLOWER)  # plays no part
    assert fastest("auto", "unused") == expected


def test_the_processor_is_timed_once_and_again_where_the_answer_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([Timing(3.0, 1.0), Timing(4.0, 1.0), Timing(5.0, 1.0)])
    monkeypatch.setattr(precision, "measure", lambda: next(taken))

    def found() -> Timing:
        precision.timing.cache_clear()
        return precision.timing(str(tmp_path / "cache"))

    assert [found().float32, found().float32] == [3.0, 3.0]
    (path,) = (tmp_path / "cache").iterdir()
    path.write_text(path.read_text().replace("3.0", "9.0"))
    assert [found().float32, found().float32] == [4.0, 4.0]
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert found().float32 == 5.0


def test_the_timing_leaves_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    assert min(precision.measure()) > 0
    assert torch.get_num_threads() == before


def test_a_sweep_decides_once_for_all_of_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    times(monkeypatch, FASTER)
    sweep = ["trainer.accelerator=cpu", "trainer.precision=auto,32-true", "seed=0,1"]
    args, found = prepare(["-m", *sweep])
    assert found is not None
    with found.locked:
        jobs = found.jobs
    assert [arg for arg in args if "auto_precision" in arg] == ["auto_precision=bf16-mixed"]
    explicit = check(
        ["trainer.accelerator=cpu", "trainer.precision=bf16-mixed,32-true", "seed=0,1"], sweep=True
    )
    assert jobs == [identity(what_matters(plain(cfg))) for cfg in explicit]
    times(monkeypatch, SLOWER)  # another machine, where one of the jobs runs
    job = compose("trainer.precision=auto", "auto_precision=bf16-mixed")
    assert job.cfg.trainer.precision == "bf16-mixed"


def test_a_run_without_auto_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "timing", None)
    assert precision_override(check(["trainer.precision=bf16-mixed"], sweep=False)) == []
    assert compose().cfg.trainer.precision == "32-true"


def test_a_run_keeps_its_precision_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    times(monkeypatch, SLOWER)
    run = train(compose(*SHORT, "trainer.precision=auto"))
    summary = read_summary(run)
    assert summary["precision"] == "32-true"
    assert summary["identity"] == identity(what_matters(plain(compose(*SHORT, "paths.run_dir=.").cfg)))
    assert "auto_precision" not in run.name
    times(monkeypatch, FASTER)
    args, _ = prepare([f"resume={run}"])  # refuses a run whose configuration differs
    assert "auto_precision=32-true" in args
    assert "auto_precision=bf16-mixed" not in args


@pytest.mark.parametrize(
    ("timing", "overrides", "said"),
    [
        (SLOWER, ["trainer.precision=bf16-mixed"], "10.0 ms in float32 and 150.0 ms in bfloat16"),
        (SLOWER, ["trainer.precision=auto"], None),
        (SLOWER, ["trainer.precision=32-true"], None),
        (Timing(1.9, 1.0), ["trainer.precision=32-true"], None),
        (Timing(2.1, 1.0), ["trainer.precision=32-true"], "Use trainer.precision=bf16-mixed"),
        (Timing(2.1, 1.0), [], None),
    ],
)
def test_a_precision_that_is_twice_as_slow_is_told_of(
    monkeypatch: pytest.MonkeyPatch, timing: Timing, overrides: list[str], said: str | None
) -> None:
    times(monkeypatch, timing)
    experiment = compose("trainer.accelerator=cpu", *overrides)
    found = slow_choice(experiment.cfg, experiment.overrides)
    assert found is None if said is None else said in str(found)
