"""The estimate: its arithmetic by hand, and the command on handwritten digits."""

import os
import re
import subprocess
import sys
import time
from mmap import mmap
from pathlib import Path
from statistics import median

import lightning as L
import pytest
import torch

from src.callbacks.evaluation import Evaluation
from src.callbacks.grad_cam import GradCam
from src.config.build import build
from src.config.finished import placed
from src.engine.classifier import Classifier
from src.engine.quiet import quiet
from src.estimate import command
from src.estimate.measure import Estimate, Pass, Phase, estimate
from src.estimate.probes import PeakMemory, StepTimer, peak_memory, step_means
from src.estimate.table import estimate_table, jobs_table, spread
from src.models.cost import Length, count_macs, num_params, training_length, training_pflop
from src.notebook import compose

TINY = ["data=digits", "model.width=8", "model.strides=[2,2,2,2]", "trainer=cpu"]


@pytest.fixture(autouse=True)
def in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.estimate.probes.SECONDS", 0.5)
    monkeypatch.setattr("src.estimate.measure.EVALUATION", (0.2, 3))


def measure(tmp_path: Path, *overrides: str) -> Estimate:
    return estimate(placed(compose(*TINY, *overrides).cfg.copy(), tmp_path))


def test_compute_of_the_default_by_hand() -> None:
    # 45,000 images in 176 batches of 256, the last one of 200; 40 epochs; six operations a MAC
    length = training_length(45_000, 256, epochs=40)
    assert length == Length(steps=7040, batches=7040, images=1_800_000, epochs=40)
    by_hand = 1_763_382_272 * 6 * 45_000 * 40 / 1e15
    assert training_pflop(1_763_382_272, length.images) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(19.0445, rel=1e-5)


def test_lengths_by_hand() -> None:
    def of(**how: int | float) -> Length:
        return training_length(100, 8, **({"epochs": 3} | how))  # type: ignore[arg-type]

    assert of() == (39, 39, 300, 3)  # 13 batches, the last one of four images
    assert of(limit=5) == (15, 15, 120, 3)
    assert of(limit=0.5) == (18, 18, 144, 3)  # int(6.5) batches
    assert of(limit=99) == of()
    assert of(accumulate=4) == (12, 39, 300, 3)  # 4 + 4 + 4 + 1 batches
    assert of(accumulate=4, max_steps=6) == (6, 21, 164, 1)  # an epoch, and two steps of four batches
    assert of(max_steps=13) == (13, 13, 100, 1)
    assert of(epochs=-1, max_steps=14) == (14, 14, 108, 1)
    with pytest.raises(ValueError, match="training never ends"):
        of(epochs=-1)
    for nothing in ({"limit": 0}, {"max_steps": 0}):
        with pytest.raises(ValueError, match="nothing is trained"):
            of(**nothing)


@pytest.mark.slow
def test_a_run_is_as_long_as_reckoned(tmp_path: Path) -> None:
    class Count(L.Callback):
        batches = images = validations = 0

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:  # type: ignore[no-untyped-def]
            self.batches, self.images = self.batches + 1, self.images + len(batch[1])
            self.steps = trainer.global_step

        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            self.validations += 1

    more = ["trainer.accumulate_grad_batches=3", "trainer.max_steps=12", "data.batch_size=100"]
    cfg = compose(*TINY, *more, "trainer.max_epochs=5", "trainer.check_val_every_n_epoch=2").cfg
    count = Count()
    quiet()
    trainer = build(
        placed(cfg.copy(), tmp_path).trainer,
        callbacks=[count],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(build(placed(cfg.copy(), tmp_path).module), datamodule=build(placed(cfg, tmp_path).data))
    found = measure(tmp_path, *more, "trainer.max_epochs=5", "trainer.check_val_every_n_epoch=2")
    # An epoch has 13 batches in five steps; twelve steps are two epochs and twice three batches
    assert found.length[:3] == (count.steps, count.batches, count.images) == (12, 32, 2 * 1257 + 600)
    assert found.val.passes == count.validations == 1


def test_seconds_are_batches_times_a_batchs_seconds(tmp_path: Path) -> None:
    began = time.perf_counter()
    found = measure(tmp_path, "trainer.max_epochs=7")
    took = time.perf_counter() - began
    # 1437 - 180 images in batches of 64, 180 for validation, 360 for the test
    assert found.length == (7 * 20, 7 * 20, 7 * 1257, 7)
    assert found.train_seconds == pytest.approx(140 * found.batch_seconds)
    assert found.val[:2] == (7, 3)
    assert found.test[:2] == (1, 6)
    assert found.seconds == pytest.approx(
        found.start_seconds + found.train_seconds + 7 * 3 * found.val[2] + 6 * found.test[2]
    )
    net = build(compose(*TINY).cfg.model)
    assert (found.num_params, found.macs) == (num_params(net), count_macs(net, 32))
    assert found.pflop == pytest.approx(6 * found.macs * 7 * 1257 / 1e15)
    (phase,) = found.phases
    assert phase.warm
    assert 0 < sum(phase.timed) < took
    assert 0 < found.val.batch_seconds < took


@pytest.mark.slow
def test_steps_of_known_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training_step, validation_step = Classifier.training_step, Classifier.validation_step

    def slow_training(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        time.sleep(0.2)
        return training_step(self, batch, batch_idx)

    def slow_validation(self, batch, batch_idx):  # type: ignore[no-untyped-def]
        time.sleep(0.1)
        return validation_step(self, batch, batch_idx)

    plain = measure(tmp_path, "data.batch_size=8")
    monkeypatch.setattr(Classifier, "training_step", slow_training)
    monkeypatch.setattr(Classifier, "validation_step", slow_validation)
    slow = measure(tmp_path, "data.batch_size=8")
    assert slow.batch_seconds - plain.batch_seconds == pytest.approx(0.2, abs=0.1)
    assert slow.val.batch_seconds - plain.val.batch_seconds == pytest.approx(0.1, abs=0.05)


@pytest.mark.slow
def test_the_test_looks_twice_with_flip_tta(tmp_path: Path) -> None:
    for more in ([], ["data.num_val=0", "callbacks=training", "scheduler=constant"]):
        found = measure(tmp_path, "tta=flip", "trainer.max_epochs=1", *more)
        assert found.test.batch_seconds == pytest.approx(2 * found.val.batch_seconds)
    assert found.val.seconds == 0


@pytest.mark.slow
def test_smaller_images_count_for_their_share_of_training(tmp_path: Path) -> None:
    # A quarter at 16 pixels, where every convolution costs a quarter; a quarter of each batch is learned from
    resized = ["resize=progressive", "resize.stages=[[16,0.25]]", "select=hardest", "select.fraction=0.25"]
    found = measure(tmp_path, *resized, "trainer.max_epochs=4", "data.batch_size=64")
    whole = 2 * found.macs * found.length.images * (1 + 3 * 0.25) / 1e15
    assert found.pflop == pytest.approx(whole * (0.75 + 0.25 / 4), rel=0.01)
    small, large = found.phases
    assert (small.share, large.share) == (0.25, 0.75)
    assert found.batch_seconds == pytest.approx(0.25 * median(small.timed) + 0.75 * median(large.timed))


def test_a_step_that_takes_known_time() -> None:
    timer = StepTimer(accumulate=2)
    timer.seconds = [9.0, 8.0, 1.0, 3.0, 1.0, 5.0, 1.0]
    assert timer.timed() == ([2.0, 3.0], True)  # after two of warm-up; the last has no partner
    timer.seconds = [9.0, 8.0]
    assert timer.timed() == ([8.0], True)
    timer.seconds = [9.0]
    assert timer.timed() == ([9.0], False)
    assert step_means([1.0, 2.0], 4) == [1.5]


def test_when_to_stop() -> None:
    timer = StepTimer()
    timer.seconds = [30.1]
    assert timer.enough(0.0), "the first batch took longer than five may"
    compiled = StepTimer(compiled=True)
    compiled.seconds = [30.1]
    assert not compiled.enough(0.0)
    timer.seconds = [7.0] * 4
    assert not timer.enough(21.0), "memory is known after five"
    timer.seconds = [8.0] * 4
    assert timer.enough(24.0)
    timer.seconds = [0.1] * 5
    assert not timer.enough(0.4)
    assert timer.enough(0.6)
    timer.seconds = [0.001] * 102
    assert timer.enough(0.1)


def use(num_bytes: int) -> None:
    """Take memory from the system itself: malloc may have kept what a test before used."""
    with mmap(-1, num_bytes) as pages:
        for at in range(0, num_bytes, 4096):
            pages[at] = 1


def test_the_estimate_keeps_memory_as_the_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr("src.engine.machine.keep_freed_memory", lambda: kept.append(True))
    measure(tmp_path, "callbacks=training")
    assert kept == [True]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no peak of its own")
def test_the_peak_includes_the_explanations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(_: GradCam, seen: Evaluation) -> None:
        assert seen.stage == "test"
        use(1000 * 2**20)

    before = measure(tmp_path).memory
    monkeypatch.setattr(GradCam, "__call__", show)
    after = measure(tmp_path).memory
    assert before.whole is not None
    assert after.whole is not None
    assert after.whole - before.whole > 500 * 2**20
    assert after.batches >= 5


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no peak of its own")
def test_peak_memory_of_a_known_array() -> None:
    size = 200 * 2**20
    use(2 * size)  # an earlier, higher peak plays no part
    with peak_memory(torch.device("cpu")) as memory:
        use(size)
    assert memory.added == pytest.approx(size, rel=0.1)
    assert memory.whole is not None
    assert memory.whole > size


def test_the_table_and_the_sum_of_jobs() -> None:
    phase = Phase(1.0, [0.2, 0.1, 0.6], True, {32: 3.0})
    found = Estimate(
        **{"device": "cpu (x, 2 threads)", "precision": "32-true", "num_params": 1000, "macs": 2_000_000},
        **{"batch_size": 100, "length": Length(50, 50, 5000, 5), "pflop": 0.06},
        **{"phases": [phase], "start_seconds": 3.0, "load_seconds": 4.0},
        **{"val": Pass(5, 2, 0.1), "test": Pass(1, 3, 0.2), "memory": PeakMemory(2**20, 3 * 2**30, 5)},
    )  # type: ignore[arg-type]
    said = estimate_table(found)
    assert "1,000 parameters, 2,000,000 MACs an image" in said
    assert "200 ms a batch (500 images/s), median of 3: 100 ms to 600 ms; uneven" in said
    assert "1 MiB for training" in said
    assert "3,072 MiB" in said
    assert "loading      4.0 s for all training batches" in said
    lines = said.splitlines()[-5:]
    assert [line.split()[1] for line in lines] == ["3.0", "10.0", "1.0", "0.6", "14.6"]
    slower = found._replace(phases=[phase._replace(timed=[1.0])], pflop=0.04)
    table = jobs_table(["0 a", "1 b"], [found, slower])
    assert re.split(r" {2,}", table.splitlines()[-1]) == ["together", "0.1", "60.0 s", "69.2 s"]
    assert "from the very first one alone" in estimate_table(
        found._replace(phases=[phase._replace(warm=False, timed=[0.2])])
    )
    assert spread(list(range(1, 100))) == (10, 90)


def test_the_command_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*TINY, "norm=ln"]) == 0
    said = capsys.readouterr().out
    typed = "data=digits model.width=8 'model.strides=[2,2,2,2]' trainer=cpu norm=ln"
    assert said.endswith(f"run it: python -m src.train {typed}\n")
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [".cache"], "the data's statistics"


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["scheduler=plateau", "trainer.check_val_every_n_epoch=2"],
        ["trainer.precision=bf16-mixed", "module.l1=0.01"],
        ["trainer.accumulate_grad_batches=4", "optimizer=adamw"],
        ["data.batch_size=2000"],  # one batch an epoch
        ["callbacks=early_stopping", "trainer.max_time='00:00:10:00'"],
        ["debug=overfit"],
    ],
)
def test_compositions(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*TINY, *more]) == 0
    said = capsys.readouterr().out
    assert ("bf16-mixed" in said) == ("bf16-mixed" in more[0])
    assert ("trainer.max_time and callbacks.early_stopping may end it sooner" in said) == ("early" in more[0])


@pytest.mark.slow
def test_a_sweep_measures_what_differs_in_more_than_the_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def once(cfg):  # type: ignore[no-untyped-def]
        measured.append(cfg.norm._target_)
        return estimate(cfg)

    monkeypatch.setattr("src.estimate.measure.estimate", once)
    assert command.main(["-m", *TINY, "norm=bn,ln", "seed=0,1,2"]) == 0
    assert len(measured) == 2
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in said[1:7]] == [
        f"{k} norm={norm},seed={seed}"
        for k, (norm, seed) in enumerate((n, s) for n in ("bn", "ln") for s in range(3))
    ]
    assert said[1].split("  ", 1)[1] == said[3].split("  ", 1)[1]
    assert said[7].startswith("together")
    assert said[-1].startswith("run it: python -m src.train -m data=digits")


def test_what_cannot_be_trained_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main([*TINY, "data.num_classes=7"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("error: data.num_classes=7, but the training data has 10")


def test_arguments_that_cannot_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        "ckpt_path plays no part: the estimate starts from fresh weights. Leave it out.": ["ckpt_path=x"],
        "norm=lnn does not exist. Did you mean norm=ln? Valid: bn, gn, in, ln, ln2d, none.": ["norm=lnn"],
        "cannot read '--steps=3': arguments are written key=value.": ["--steps=3"],
        "the estimate runs one process: got trainer.devices=auto. Add trainer=auto or trainer.devices=1, "
        "and divide by what your processes gain.": ["trainer=ddp"],
    }
    for words, args in lines.items():
        with pytest.raises(SystemExit) as stopped:
            command.main(args)
        assert stopped.value.code == 2
        assert capsys.readouterr().err == f"error: {words}\n"
    with pytest.raises(SystemExit):
        command.main(["norm=bn,ln"])
    assert capsys.readouterr().err.startswith("error: norm=bn,ln asks for several runs: add -m")
    with pytest.raises(SystemExit):
        command.main(["-m", f"seed={','.join(map(str, range(300)))}"])
    assert capsys.readouterr().err == "error: more than 256 jobs are too many here: sweep less.\n"
    assert not (tmp_path / "outputs").exists(), "nothing was begun"


def test_arguments_are_refused_before_torch_is_imported() -> None:
    code = (
        "import sys; from src.estimate import command as estimate\n"
        "try: estimate.main(['norm=lnn'])\n"
        "except SystemExit: print([m for m in ('torch', 'lightning', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_other_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.9, 5.0, 5.0))
    assert command.others_at_work() == ""
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0.0, 0.0))
    assert command.others_at_work().startswith("other work is running here (load 3.0 on 2 cores)")
