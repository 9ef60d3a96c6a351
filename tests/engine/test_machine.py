"""What a process asks of its machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from src.config.errors import ConfigError
from src.config.identity import identity, plain, what_matters
from src.config.resolvers import CONF_DIR
from src.engine import machine
from src.notebook import compose


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


def in_a_process(program: str, **env: str) -> str:
    """What a fresh Python prints; kept memory lasts as long as a process."""
    surroundings = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=CONF_DIR.parent,
        env=surroundings | env,
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout


FAULTS = """
import resource, torch
from src.engine.machine import use
use(threads=1, keep_memory={keep})
def step():
    return torch.zeros(64 * 2**20 // 4).add_(1).sum().item()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(16):  # until every size has its place
    step()
before = faults()
for _ in range(4):
    step()
print(faults() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as Linux does")
def test_kept_memory_is_not_asked_for_again() -> None:
    # A tensor of 64 MiB is 16,384 pages of 4 KiB; each of four steps meets all of them again, or none
    if not machine.keep_freed_memory():
        pytest.skip("no glibc here")
    page = os.sysconf("SC_PAGE_SIZE")
    kept, returned = (int(in_a_process(FAULTS.format(keep=keep))) for keep in (True, False))
    assert kept < 100
    assert kept < returned
    if "[always]" not in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text():
        assert returned >= 4 * 64 * 2**20 // page


def test_elsewhere_than_with_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(machine.ctypes, "CDLL", None)
    assert not machine.keep_freed_memory()
    machine.use(keep_memory=True)


def test_threads_and_precision_by_the_run_and_back_to_the_machines_own(
    run_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    really = torch.set_num_threads
    monkeypatch.setattr(torch, "set_num_threads", lambda n: (calls.append(n), really(n)))
    short = ["data=digits", "model.width=4", "callbacks=none", "logger=none", "trainer.limit_train_batches=1"]
    short += ["trainer.max_epochs=1", "trainer.limit_val_batches=0", "trainer.limit_test_batches=1"]
    run_tiny(*short, "machine.threads=3", "machine.matmul_precision=high")
    assert torch.get_num_threads() == 3
    assert torch.get_float32_matmul_precision() == "high"
    run_tiny(*short)
    assert torch.get_num_threads() == machine.OWN_THREADS
    assert torch.get_float32_matmul_precision() == "highest"
    assert calls == [3, machine.OWN_THREADS]


def test_omp_num_threads_stands_where_no_number_is_given() -> None:
    program = "import torch\nfrom src.engine.machine import use\nuse()\nprint(torch.get_num_threads())"
    assert in_a_process(program, OMP_NUM_THREADS="1").strip() == "1"


def test_a_run_is_the_same_with_other_threads_and_memory_and_another_with_other_products() -> None:
    def key(*overrides: str) -> str:
        return identity(what_matters(plain(compose("paths.run_dir=/a", *overrides).cfg)))

    assert key("machine.threads=2", "machine.keep_memory=false") == key()
    assert key("machine.matmul_precision=high") != key()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("machine.threads=0", "machine.threads must be a whole number from 1 to 1024: got 0."),
        ("machine.threads=1.5", "machine.threads must be a whole number from 1 to 1024: got 1.5."),
        ("machine.keep_memory=2", "machine.keep_memory must be true or false: got 2."),
        ("machine.matmul_precision=tf32", "machine.matmul_precision must be one of highest, high, medium"),
    ],
)
def test_bad_values_are_told(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        compose(override)
