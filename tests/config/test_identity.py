"""What makes two runs the same run."""

import json

import pytest

from src.config.check import check
from src.config.checked_json import dump_checked
from src.config.errors import ConfigError
from src.config.finished import known_targets, read_config
from src.config.identity import identity, plain, what_matters, without_modules
from src.config.moved import moved
from src.config.sweep import begun_before, run_before
from src.notebook import compose


def known(*overrides: str) -> dict[str, object]:
    return what_matters(plain(compose("paths.run_dir=/a", *overrides).cfg))


def test_paths_and_loading_do_not_matter_and_everything_else_does():
    here = known("data.root=/a", "data.num_workers=0", "paths.output_dir=/x", "task_name=t", "logger=csv")
    assert here == known("data.root=/b", "data.num_workers=2")
    assert identity(here) == identity(known())
    for other in (
        "seed=1",
        "norm=ln",
        "optimizer.lr=0.3",
        "trainer.max_epochs=2",
        "callbacks=early_stopping",
    ):
        assert identity(known(other)) != identity(here), other


def test_pictures_of_ones_own_are_known_by_their_folder(tmp_path):
    for name in ("a", "b"):
        for kind in ("cats", "dogs"):
            (tmp_path / name / "train" / kind).mkdir(parents=True)
    a, b = (known("data=image_folder", f"data.root={tmp_path / name}") for name in "ab")
    assert identity(a) != identity(b)


def test_the_order_of_keys_plays_no_part_and_values_keep_their_type():
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    assert identity({"a": 1}) != identity({"a": "1"})


def test_a_run_does_not_hang_on_where_its_classes_are():
    here = known()
    assert here["model._target_"] == "ResNet"
    assert here["optimizer._target_"] == "torch.optim.SGD"
    own = [target for target in known_targets() if target.startswith("src.")]
    assert len({target.rpartition(".")[2] for target in own}) == len(own) > 40  # names tell them apart


def test_a_sweep_from_before_a_class_moved_is_found(tmp_path):
    olds = [{"model._target_": "src.old.place.ResNet", "seed": seed} for seed in range(3)]
    news = [identity(without_modules(old)) for old in olds]
    folder = tmp_path / "multiruns" / "1"
    for number, old in enumerate(olds[:2]):  # the third was not begun
        run_dir = folder / f"{number}_x"
        run_dir.mkdir(parents=True)
        (run_dir / "config.json").write_text(dump_checked(old))
        (run_dir / "summary.json").write_text(
            dump_checked({"identity": identity(old), "status": "completed"})
        )
    (folder / "sweep.json").write_text(json.dumps({"jobs": [identity(old) for old in olds]}))
    assert begun_before(tmp_path / "multiruns", news) == folder
    assert begun_before(tmp_path / "multiruns", [news[1], news[0], news[2]]) is None
    assert begun_before(tmp_path / "multiruns", news[:2]) is None
    assert run_before(folder / "1_x", news[1], in_sweep=True) == folder / "1_x"
    assert run_before(folder / "5_x", news[0], in_sweep=True) == folder / "0_x"
    assert run_before(folder / "2_x", news[2], in_sweep=True) is None


def test_an_old_target_is_answered_with_the_new_one():
    assert [target for target in known_targets() if moved(target)] == []
    old = "model._target_=src.engine.networks.ResNet"
    with pytest.raises(
        ConfigError, match=r"^model: src.engine.networks.ResNet is src.models.resnet.ResNet now"
    ):
        check([old], sweep=False)


def test_the_classes_of_an_older_run_are_found_where_they_are_now(tmp_path):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/config.yaml").write_text(
        "data: {root: '${oc.env:X}'}\nmodule: null\n"
        "model: {_target_: src.engine.networks.ResNet, x: [{_target_: os.getcwd}]}\n"
    )
    found = read_config(tmp_path)
    assert found.model._target_ == "src.models.resnet.ResNet"
    assert found.model.x[0]._target_ == "os.getcwd"
