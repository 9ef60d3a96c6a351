from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from src.config.resolvers import count_folders, decay_to, new_folder, part_of, run_name, thread_limit


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("", "default"),
        ("norm=ln,optimizer.lr=0.1", "norm=ln,lr=0.1"),
        ("model.strides=[1,2,2,2],seed=3", "strides=1,2,2,2,seed=3"),
        ("+trainer.min_epochs=2", "min_epochs=2"),
        ("data.source.name=a/b:c", "name=a-b-c"),
    ],
)
def test_run_name_is_short_and_safe(overrides: str, name: str) -> None:
    assert run_name(overrides) == name


def test_run_name_has_a_limit() -> None:
    assert len(run_name(",".join(f"key{k}={k}" for k in range(100)))) <= 100


def test_jobs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: new_folder(str(tmp_path), "20260101-000000", "norm=ln"), range(16)))
    assert len(set(made)) == 16
    assert {Path(m).name for m in made} >= {"20260101-000000_norm=ln", "20260101-000000_norm=ln-16"}


def test_places_in_a_run() -> None:
    assert [part_of(40, 0.5), part_of(40, 0.34), part_of(1, 0.25)] == [20, 14, 1]
    assert decay_to(0.01, 2) == pytest.approx(0.1)


def test_count_folders_counts_classes(tmp_path: Path) -> None:
    for name in ("cat", "dog", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    assert count_folders(str(tmp_path)) == 2
    with pytest.raises(FileNotFoundError, match="data.root must hold train"):
        count_folders(str(tmp_path / "nope"))


def test_a_job_has_as_many_threads_as_cores_were_asked_for() -> None:
    assert thread_limit(3) == {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
    assert thread_limit(None) == {}
