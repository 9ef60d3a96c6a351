"""What `src.config.hydra_private` relies on, against Hydra's own loader."""

import pickle
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import OmegaConf

from src.config import hydra_private
from src.config.hydra_private import Loader, get_args_parser, loader, parse

ADAM = ["optimizer=adam", "optimizer.lr=0.1", "+optimizer.amsgrad=true", "~callbacks.samples"]


@pytest.mark.parametrize(
    ("overrides", "mode"),
    [
        ([], RunMode.RUN),
        (ADAM, RunMode.RUN),
        ([*ADAM, "hydra.job.name=x", "hydra.mode=RUN"], RunMode.RUN),
        (["norm=ln,bn", "seed=1,2", "trainer.max_epochs=3", "hydra.sweep.dir=x"], RunMode.MULTIRUN),
        (["seed=1,2", "task_name=t", "hydra.mode=MULTIRUN"], RunMode.MULTIRUN),
    ],
    ids=str,
)
def test_it_composes_what_hydra_does(overrides: list[str], mode: RunMode) -> None:
    with loader() as hydra:
        ours = hydra.load_configuration("train", overrides, mode)
        theirs = ConfigLoaderImpl(hydra.get_search_path()).load_configuration("train", overrides, mode)
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(theirs)


def test_files_are_merged_once_for_each_choice_of_options(monkeypatch: pytest.MonkeyPatch) -> None:
    merged = []
    whole = ConfigLoaderImpl._load_configuration_impl

    def counted(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        merged.append(kwargs["overrides"])
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    monkeypatch.setattr(hydra_private, "_kept", {})
    for _ in range(2):
        with loader() as hydra:
            hydra.base(parse(["norm=ln"]))
            hydra.load_configuration("train", ["norm=ln", "seed=1"], RunMode.RUN)
            hydra.load_configuration("train", ["norm=ln", "hydra.mode=RUN"], RunMode.MULTIRUN)
    assert merged == [["norm=ln"]]


def test_values_of_when_are_set_and_lose_against_typed_ones() -> None:
    with loader() as hydra:
        chosen = hydra.load_configuration("train", ["experiment=cpu"], RunMode.RUN)
        typed = hydra.load_configuration("train", ["experiment=cpu", "optimizer.lr=7"], RunMode.RUN)
        other = hydra.load_configuration("train", ["experiment=cpu", "optimizer=adam"], RunMode.RUN)
        adam = hydra.load_configuration("train", ["optimizer=adam"], RunMode.RUN)
    assert chosen.optimizer.nesterov is True
    assert chosen.when == {}
    assert typed.optimizer.lr == 7
    assert other.optimizer == adam.optimizer


def test_every_entry_of_hydra_gets_this_loader_and_a_worker_too() -> None:
    with loader() as hydra:
        assert type(hydra) is Loader
        again = pickle.loads(pickle.dumps(hydra))
    assert type(again) is Loader


def test_groups_and_values_are_told_apart() -> None:
    with loader() as hydra:
        options, values = hydra.split(parse(["norm=ln", "optimizer.lr=1", "hydra.job.name=x", "seed=0"]))
        assert hydra.get_group_options("norm") == [
            path.stem for path in sorted(Path("conf/norm").glob("*.yaml"))
        ]
    assert [o.input_line for o in options] == ["norm=ln", "hydra.job.name=x"]
    assert [o.key_or_group for o in values] == ["optimizer.lr", "seed"]


def test_flags_are_read() -> None:
    assert get_args_parser().parse_args(["-m", "norm=ln"]).overrides == ["norm=ln"]
