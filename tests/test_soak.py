"""Many runs in one process: nothing of a run outlives it. `python -m benchmarks.soak` makes a hundred."""

import sys

import pytest

from benchmarks.soak import SETTLED, Left, growth, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.slow
def test_runs_of_a_sweep_leave_no_files_threads_or_objects() -> None:
    seen = soak(8, "callbacks=training", "trainer.limit_train_batches=2")
    assert [left.run for left in seen] == list(range(1, 9))
    assert growth(seen) == []


@pytest.mark.slow
def test_explanations_leave_nothing_either() -> None:
    seen = soak(3, "callbacks=default", "trainer.limit_train_batches=2")
    assert len({left.files for left in seen}) == 1
    assert len({left.threads for left in seen}) == 1
    assert [left.alive for left in seen] == [0, 0, 0]


def test_growth_is_told() -> None:
    flat = [Left(run, 100.0, 10, 2, 0, 1.0) for run in range(1, SETTLED + 2)]
    assert growth(flat) == []
    assert growth([*flat, Left(7, 105.5, 10, 2, 0, 1.0)]) == ["memory grows from 100 to 106 MiB"]
    assert growth([*flat, Left(7, 100.0, 11, 3, 0, 1.0)]) == [
        "files grow from 10 to 11",
        "threads grow from 2 to 3",
    ]
    assert growth([*flat, Left(7, 100.0, 10, 2, 1, 1.0)])[0].startswith("1 of Classifier")
