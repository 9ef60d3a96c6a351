"""What makes two runs the same run."""

from src.config.identity import identity, plain, what_matters
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
