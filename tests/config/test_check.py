"""Mistakes on the command line: one line that names the way out."""

from pathlib import Path

import pytest

from src.config.check import check
from src.config.cli import prepare
from src.config.errors import RENAMED, ConfigError
from src.config.identity import identity, plain, what_matters
from src.config.multirun import multirun

MISTAKES = [
    ("optimizer.lrr=0.1", "optimizer.lrr does not exist. Did you mean optimizer.lr?"),
    ("norm=lm", "norm=lm does not exist. Did you mean norm=ln? Valid: bn, gn, in, ln, ln2d, none."),
    ("lr=0.1", "Did you mean optimizer.lr?"),
    ("epochs=5", "Did you mean trainer.max_epochs?"),
    ("optmizer=adam", "Did you mean optimizer?"),
    ("data.batchsize=8", "Did you mean data.batch_size?"),
    ("experiment=seed", "Valid: cpu, explanation_health, lr_grid, norms"),
    ("~callbacks.bests", "callbacks.bests does not exist. Did you mean callbacks.best?"),
    ("optimizer=sgd,adam", "add -m"),
    ("norm", "cannot read 'norm'"),
    ("trainer.max_epochs=ten", "trainer.max_epochs must be a whole number: got 'ten'. Default: 40."),
    ("trainer.max_epochs=2.5", "trainer.max_epochs must be a whole number: got 2.5."),
    ("trainer.max_epochs=true", "trainer.max_epochs must be a whole number: got True."),
    ("optimizer.lr=fast", "optimizer.lr must be a number: got 'fast'."),
    ("optimizer.lr=null", "optimizer.lr must be a number: got null."),
    ("optimizer.nesterov=1", "optimizer.nesterov must be true or false: got 1."),
    ("model.strides=2", "model.strides must be a list such as [1,2]: got 2."),
    ("trainer.max_epochs=-3", "trainer.max_epochs must be between 1 and 1000000: got -3."),
    ("optimizer.lr=0", "optimizer.lr must be more than 0: got 0."),
    ("optimizer.momentum=1.0", "optimizer.momentum must be at least 0 and less than 1: got 1.0."),
    ("model.width=0", "model.width must be between 1 and 4096: got 0."),
    ("seed=-1", "seed must be between 0 and 4294967295: got -1."),
    ("data.num_val=50000", "data.num_val must be less than the 50000 training images: got 50000."),
    ("model.strides=[1,2]", "model.strides and model.num_blocks must be equally long"),
    ("model.strides=[1,1,0,2]", "model.strides must be a list of whole numbers of 1 or more"),
    ("trainer.gradient_clip_val=off", "trainer.gradient_clip_val must be a number, more than 0: got 'off'."),
    ("trainer.gradient_clip_algorithm=abs", "must be one of value, norm: got abs."),
    ("data=image_folder", "data.root must be given"),
    (
        "+optimizer.betas=[0.9,0.99]",
        "optimizer.betas: torch.optim.SGD takes no betas. It takes params, lr, momentum",
    ),
    ("+scheduler.milestones=[3]", "scheduler.milestones: src.optim.schedule.Schedule takes no milestones."),
    ("+data.batchsize=8", "ImageDataModule takes no batchsize. Did you mean batch_size?"),
    ("+trainer.val_check_intervall=0.5", "takes no val_check_intervall. Did you mean val_check_interval?"),
]


@pytest.mark.parametrize(("override", "words"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_mistake_is_told_in_one_line(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check([override], sweep=False)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["norm=gn", "norm.num_groups=7"], "num_groups=7, width=64. Valid here: [1, 2, 4, 8, 16, 32, 64]."),
        (["norm=gn", "model.width=12"], "num_groups=8, width=12. Valid here: [1, 2, 3, 4, 6, 12]."),
        (["scheduler=plateau", "data.num_val=0"], "scheduler.monitor=val/acc needs validation images"),
        (["callbacks=early_stopping", "data.num_val=0"], "callbacks.early_stopping.monitor=val/acc needs"),
        (["data=image_folder", "data.root=/no/such"], "no folder /no/such/train: data.root must hold"),
        (["optimizer.lr=${nothing}"], "Interpolation key 'nothing' not found"),
    ],
)
def test_values_that_do_not_fit_together(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        check(overrides, sweep=False)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["norm=ln", "scheduler=onecycle"],
        ["optimizer.lr=1", "optimizer.weight_decay=1e-4", "trainer.gradient_clip_val=null"],
        ["trainer.precision=16-mixed", "trainer.devices=auto", "trainer.limit_train_batches=10"],
        ["~callbacks.samples", "callbacks.best=null", "+trainer.min_epochs=2", "loss.label_smoothing=0.1"],
        ["experiment=resnet18_ln", "norm=gn", "debug=fast", "logger=none"],
        ["hydra.job.name=x", "data.root='/a folder/with, comma'"],
        ["++trainer.val_check_interval=0.5", "++optimizer.lr=0.3"],
    ],
)
def test_valid_overrides_pass(overrides: list[str]) -> None:
    check(overrides, sweep=False)


def test_every_job_of_a_sweep_is_checked() -> None:
    check(["norm=bn,ln", "optimizer.lr=0.1,0.2"], sweep=True)
    with pytest.raises(ConfigError, match="optimizer.momentum does not exist"):
        check(["optimizer=sgd,adam", "optimizer.momentum=0.5"], sweep=True)
    with pytest.raises(ConfigError, match="norm=lm does not exist"):
        check(["norm=bn,lm"], sweep=True)


def test_a_flag_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="--epochs is not a flag: settings are written key=value"):
        prepare(["--epochs", "5"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "num_jobs"),
    [("norms", 15), ("optimizers", 15), ("schedulers", 21), ("lr_grid", 5), ("seed_study", 10)],
)
def test_named_comparisons_compose_in_both_sizes(name: str, num_jobs: int) -> None:
    for size, width, epochs in (("cpu", 16, 5), ("gpu", 64, 30)):
        whole = multirun([f"experiment={name}", f"size={size}"], flag=False)
        assert whole is not None
        configs = check(whole.overrides, sweep=True)
        assert len(configs) == num_jobs
        assert len({identity(what_matters(plain(cfg))) for cfg in configs}) == num_jobs
        assert {cfg.model.width for cfg in configs} == {width}
        assert {cfg.trainer.max_epochs for cfg in configs} == {epochs}
        assert {cfg.task_name for cfg in configs} == {name}


@pytest.mark.slow
def test_what_is_typed_wins_over_a_comparisons_own_values() -> None:
    whole = multirun(["experiment=norms", "seed=7"], flag=False)
    assert whole is not None
    assert [(cfg.norm._target_, cfg.seed) for cfg in check(whole.overrides, sweep=True)][-1][1] == 7
    assert len(check(whole.overrides, sweep=True)) == 5
    assert multirun(["experiment=cpu"], flag=False) is None
    with pytest.raises(ConfigError, match=r"norm=lm does not exist"):
        prepare(["experiment=norms", "norm=bn,lm"])
    with pytest.raises(ConfigError, match="rerun must be one of unfinished, failed, all: got some"):
        prepare(["-m", "norm=bn,ln", "rerun=some"])


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_answered_with_the_new_one(old: str, new: str) -> None:
    assert not Path(f"conf/{old}.yaml").exists()
    check([new], sweep=False)  # this one exists
    with pytest.raises(ConfigError, match=f"{old.replace('/', '=')} is called {new} here"):
        check([old.replace("/", "=")], sweep=False)


def test_a_flag_may_stand_behind_an_override_and_a_new_key_may_be_swept() -> None:
    args, sweep = prepare(["data=digits", "-m", "optimizer=sgd,adam", "+trainer.val_check_interval=0.5,1.0"])
    assert sweep is not None
    sweep.locked.close()
    assert args[:2] == ["-m", "data=digits"]
    assert len(set(sweep.jobs)) == 4
