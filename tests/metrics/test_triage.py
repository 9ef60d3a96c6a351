"""Each mistake's bucket, from files made by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.metrics.triage import Triage, bucket, peer_files, people_say, read_checks, read_peer, read_shares

HEADER = "index,label,prediction,confidence,loss,second,margin,label_name,prediction_name,triage"
CAT, DOG, FROG = 3, 5, 6


def shares_file(folder: Path, *rows: dict[int, float]) -> str:
    """CIFAR-10H's form: an image a row, the answers for some of its ten classes; 0 for the rest."""
    votes = np.zeros((len(rows), 10))
    for image, row in enumerate(rows):
        for k, votes_k in row.items():
            votes[image, k] = votes_k
    path = folder / "cifar10h-probs.npy"
    np.save(path, votes)
    return str(path)


def checks_file(folder: Path, *entries: tuple[int, int, int, int, int, int]) -> str:
    """cifar10_mturk.json from (id, label, given, guessed, neither, both)."""
    names = ("given", "guessed", "neither", "both")
    content = [
        {
            "id": i,
            "given_original_label": label,
            "our_guessed_label": DOG,
            "mturk": dict(zip(names, v, strict=True)),
        }
        for i, label, *v in entries
    ]
    path = folder / "cifar10_mturk.json"
    path.write_text(json.dumps(content))
    return str(path)


def peer_folder(folder: Path, *rows: tuple[int, int, int]) -> str:
    """A run folder whose predictions.csv has these (index, label, prediction)."""
    folder.mkdir(parents=True)
    lines = [f'{i},{y},{p},0.9,0.1,2,0.5,"cat, tabby",dög,' for i, y, p in rows]
    (folder / "predictions.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return str(folder)


def buckets(triage: Triage, *rows: tuple[int, int, int]) -> list[str]:
    """The buckets of (index, label, prediction)."""
    indices, labels, predictions = np.array(rows).T
    return triage(indices, labels, predictions)


def test_every_bucket_once(tmp_path: Path) -> None:
    # Images 0 to 7 are cats, and the network says dog but for image 7. People: all cat, but image 1 (most
    # say dog), image 2 (70 % cat). Raters say of image 0 that it is no cat. Peers have images 3 to 6.
    triage = Triage(
        cifar10h=shares_file(tmp_path, {3: 1}, {3: 0.4, 5: 0.6}, {3: 0.7, 5: 0.3}, *[{3: 1}] * 5),
        label_errors=checks_file(tmp_path, (0, CAT, 0, 5, 0, 0)),
        peers=[
            peer_folder(tmp_path / "a", (3, CAT, DOG), (4, CAT, DOG), (5, CAT, CAT)),
            peer_folder(tmp_path / "b", (3, CAT, FROG), (4, CAT, CAT), (5, CAT, CAT)),
        ],
    )
    got = buckets(triage, *[(i, CAT, DOG) for i in range(7)], (7, CAT, CAT))
    assert got == [
        "likely label error",
        "likely label error",
        "humans split",
        "everyone fails",
        "some fail",
        "only this network",
        "unexplained",  # people agree with the label, and no peer saw the image
        "",
    ]


@pytest.mark.parametrize(
    ("label_wrong", "people_split", "peers_right", "name"),
    [
        (True, True, [False], "likely label error"),
        (False, True, [False], "humans split"),
        (False, True, [], "humans split"),
        (False, False, [False, False], "everyone fails"),
        (False, False, [True, False], "some fail"),
        (False, False, [True, True], "only this network"),
        (False, False, [], "unexplained"),
    ],
)
def test_the_first_bucket_that_fits(
    label_wrong: bool, people_split: bool, peers_right: list[bool], name: str
) -> None:
    assert bucket(label_wrong, people_split, peers_right) == name


def test_without_sources_mistakes_are_unexplained() -> None:
    triage = Triage()
    assert not triage.given
    assert buckets(triage, (0, CAT, DOG), (12345, 99, 99)) == ["unexplained", ""]
    assert not Triage(peers=[]).given


def test_one_source_is_enough(tmp_path: Path) -> None:
    peer = peer_folder(tmp_path / "run", (0, CAT, DOG), (1, CAT, CAT))
    shares = shares_file(tmp_path, {3: 1}, {3: 0.7, 5: 0.3})
    checks = checks_file(tmp_path, (0, CAT, 2, 3, 0, 0))
    rows = (0, CAT, DOG), (1, CAT, DOG)
    for triage, want in (
        (Triage(peers=peer), ["everyone fails", "only this network"]),
        (Triage(cifar10h=shares), ["unexplained", "humans split"]),
        (Triage(label_errors=checks), ["likely label error", "unexplained"]),
    ):
        assert triage.given
        assert buckets(triage, *rows) == want


def test_images_are_found_by_index_in_any_order(tmp_path: Path) -> None:
    # People split on image 2 alone, raters reject 1, the peer saw 0; image 2 comes first here, and twice.
    triage = Triage(
        cifar10h=shares_file(tmp_path, {3: 1}, {3: 1}, {3: 0.6, 5: 0.4}),
        label_errors=checks_file(tmp_path, (1, CAT, 0, 5, 0, 0)),
        peers=peer_folder(tmp_path / "run", (0, CAT, CAT)),
    )
    rows = [(i, CAT, DOG) for i in (2, 1, 0, 2)]
    want = ["humans split", "likely label error", "only this network", "humans split"]
    assert buckets(triage, *rows) == want


@pytest.mark.parametrize(
    ("cat", "dog", "frog", "rejected", "split"),
    [
        (20, 30, 0, True, True),  # 60 % say dog
        (5, 45, 0, True, True),
        (20, 25, 5, True, True),  # half is enough
        (10, 24, 16, False, True),  # 48 % is not
        (25, 25, 0, False, True),  # a tie is no error
        (37, 13, 0, False, True),  # 74 %
        (30, 10, 0, False, False),  # 75 % is not below 0.75
        (50, 0, 0, False, False),
    ],
)
def test_what_people_say_of_a_cat(cat: int, dog: int, frog: int, rejected: bool, split: bool) -> None:
    shares = np.zeros((2, 10))
    shares[1, [CAT, DOG, FROG]] = np.array([cat, dog, frog]) / (cat + dog + frog)
    got = people_say(shares, np.array([1]), np.array([CAT]), 0.75)
    assert [verdict.tolist() for verdict in got] == [[rejected], [split]]


def test_the_split_is_where_the_user_puts_it(tmp_path: Path) -> None:
    path = shares_file(tmp_path, {3: 0.7, 5: 0.3})
    assert buckets(Triage(cifar10h=path, split_below=0.7), (0, CAT, DOG)) == ["unexplained"]
    assert buckets(Triage(cifar10h=path, split_below=0.71), (0, CAT, DOG)) == ["humans split"]


def test_counts_and_shares_read_the_same(tmp_path: Path) -> None:
    counts = np.zeros((2, 10), dtype=np.int64)
    counts[0, CAT], counts[0, DOG], counts[1, FROG] = 38, 12, 51
    np.save(tmp_path / "counts.npy", counts)
    path = shares_file(tmp_path, {3: 0.76, 5: 0.24}, {6: 1})
    assert read_shares(str(tmp_path / "counts.npy")).tolist() == read_shares(path).tolist()
    assert read_shares(path)[0, [CAT, DOG]].tolist() == [0.76, 0.24]


@pytest.mark.parametrize(
    ("raters", "wrong"),  # given, guessed, neither, both
    [
        ((5, 0, 0, 0), False),
        ((3, 2, 0, 0), False),
        ((2, 3, 0, 0), True),
        ((2, 2, 1, 0), True),
        ((2, 1, 0, 2), True),
    ],
)
def test_a_label_is_wrong_unless_three_of_five_chose_it(
    tmp_path: Path, raters: tuple[int, int, int, int], wrong: bool
) -> None:
    assert read_checks(checks_file(tmp_path, (165, 4, *raters))) == {165: (4, wrong)}


def test_a_peer_is_read_by_its_columns(tmp_path: Path) -> None:
    folder = Path(peer_folder(tmp_path / "run", (7, CAT, DOG), (4, DOG, DOG)))
    assert read_peer(folder / "predictions.csv") == {7: (CAT, False), 4: (DOG, True)}
    (tmp_path / "other.csv").write_text("prediction,index,label\n5,7,3\n")
    assert read_peer(tmp_path / "other.csv") == {7: (CAT, False)}


def test_peers_are_files_folders_patterns_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "lr=[1,2]"):
        peer_folder(tmp_path / "runs" / name, (0, CAT, CAT))
    (tmp_path / "runs" / "going on").mkdir()  # no predictions yet: a pattern passes over it
    (tmp_path / "runs" / "multirun.yaml").touch()  # and over what sweeps leave
    a, b, bracket = (tmp_path / "runs" / name / "predictions.csv" for name in ("a", "b", "lr=[1,2]"))
    assert peer_files(None) == []
    assert peer_files(str(tmp_path / "runs" / "a")) == [a]
    assert peer_files([str(b), str(a.parent)]) == [b, a]
    assert peer_files(str(tmp_path / "runs" / "*")) == [a, b, bracket]
    assert peer_files(str(tmp_path / "**" / "predictions.csv")) == [a, b, bracket]
    assert peer_files(str(bracket.parent)) == [bracket]  # though it looks like a pattern
    assert len(peer_files([str(tmp_path / "runs" / "*"), str(a)])) == 3  # each once
    monkeypatch.chdir(tmp_path)
    assert peer_files("runs/?") == [a.relative_to(tmp_path), b.relative_to(tmp_path)]


def message(**sources: Any) -> str:
    """What the constructor says of these sources."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        Triage(**sources)
    return f"{caught.type.__name__}: {caught.value}"


def test_a_wrong_path_is_named_before_anything_runs(tmp_path: Path) -> None:
    nope = tmp_path / "nope"
    assert message(cifar10h=str(nope)) == (
        f"FileNotFoundError: triage.cifar10h: {nope}: No such file or directory. Wanted is "
        f"cifar10h-probs.npy or cifar10h-counts.npy, 10 numbers an image. See docs/triage.md."
    )
    assert message(label_errors=str(nope)) == (
        f"FileNotFoundError: triage.label_errors: {nope}: No such file or directory. Wanted is "
        f"cifar10_mturk.json, a list of id, given_original_label and mturk. See docs/triage.md."
    )
    assert message(cifar10h=str(tmp_path)).startswith(
        f"FileNotFoundError: triage.cifar10h: {tmp_path}: Is a directory. "
    )
    for peers in (str(nope), str(tmp_path), str(tmp_path / "*.csv")):  # a folder without, a pattern of none
        assert message(peers=[peers]) == (
            f"FileNotFoundError: triage.peers: {peers} names no predictions.csv and no folder with one."
        )


@pytest.mark.parametrize(
    "votes",
    [
        np.ones((3, 100)),  # CIFAR-100
        np.ones(10),
        np.float64(1),
        np.full((3, 10), -1),
        np.full((3, 10), np.nan),
        np.zeros((3, 10)),
        np.full((3, 10), "cat"),
        np.array([{}], dtype=object),  # a pickle
    ],
)
def test_another_array_is_no_cifar10h(tmp_path: Path, votes: np.ndarray) -> None:
    path = tmp_path / "votes.npy"
    np.save(path, votes)
    assert message(cifar10h=str(path)) == (
        f"ValueError: triage.cifar10h: {path} is not cifar10h-probs.npy or cifar10h-counts.npy, "
        f"10 numbers an image. See docs/triage.md."
    )


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x93NUMPY\x01\x00"])
def test_another_file_is_no_cifar10h(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cifar10h-probs.npy"
    path.write_bytes(content)
    assert "is not cifar10h-probs.npy or cifar10h-counts.npy" in message(cifar10h=str(path))
    np.savez(tmp_path / "several.npz", votes=np.ones((3, 10)))
    assert "is not cifar10h-probs.npy" in message(cifar10h=str(tmp_path / "several.npz"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<html>",
        "{}x",
        '{"id": 1}',
        "[1]",
        '[{"id": 1, "given_original_label": 3}]',
        "3",
        '[{"id": "a.png", "given_original_label": 3, "mturk": {"given": 5}}]',
        '[{"id": 1, "given_original_label": 3, "mturk": [5, 0]}]',
    ],
)
def test_another_file_holds_no_checked_labels(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mturk.json"
    path.write_text(content)
    assert message(label_errors=str(path)) == (
        f"ValueError: triage.label_errors: {path} is not cifar10_mturk.json, a list of id, "
        f"given_original_label and mturk. See docs/triage.md."
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        HEADER,
        "x" * 200_000,  # more than a field may have
        "epoch,val/acc\n1,0.5\n",
        "index,label,prediction\n0,cat,3\n",
        "index,label,prediction\n0,3\n",
        "index,label,prediction\n0,3,3.5\n",
    ],
)
def test_another_file_is_no_peer(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    assert message(peers=str(path)) == (
        f"ValueError: triage.peers: {path} is not a predictions.csv with whole numbers under index, "
        f"label and prediction. See docs/triage.md."
    )


@pytest.mark.parametrize("split_below", [-0.1, 1.1, 75])
def test_the_split_is_a_share(split_below: float) -> None:
    assert message(split_below=split_below) == (
        f"ValueError: triage.split_below is a share and must be from 0 to 1: got {split_below}."
    )


def refusal(triage: Triage, *rows: tuple[int, int, int]) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the caller compares every word
        buckets(triage, *rows)
    return str(caught.value)


def test_other_images_are_refused(tmp_path: Path) -> None:
    people = Triage(cifar10h=shares_file(tmp_path, {3: 1}, {5: 1}))
    assert refusal(people, (0, CAT, CAT), (2, DOG, DOG)) == (
        "triage.cifar10h is for the CIFAR-10 test set: got image 2 of 2 and label 5. Leave it out."
    )
    assert refusal(people, (0, 10, 10)) == (
        "triage.cifar10h is for the CIFAR-10 test set: got image 0 of 2 and label 10. Leave it out."
    )
    raters = Triage(label_errors=checks_file(tmp_path, (2, CAT, 5, 0, 0, 0), (9, CAT, 5, 0, 0, 0)))
    assert refusal(raters, (2, DOG, DOG)) == (
        "triage.label_errors is of another dataset: image 2 has label 3 there and 5 here. Leave it out."
    )
    assert buckets(raters, (1, DOG, CAT)) == ["unexplained"]  # few images are checked: none of ours is fine


def test_peers_of_other_images_are_refused(tmp_path: Path) -> None:
    folder = peer_folder(tmp_path / "run", (2, CAT, CAT), (3, DOG, DOG))
    triage = Triage(peers=folder)
    assert refusal(triage, (3, DOG, DOG), (2, FROG, FROG)) == (
        f"triage.peers: {folder}/predictions.csv is of another dataset: image 2 has label 3 there and "
        f"6 here. Leave it out."
    )
    assert refusal(triage, (0, CAT, CAT), (1, CAT, CAT)) == (
        f"triage.peers: {folder}/predictions.csv has none of these 2 images. Leave it out."
    )


def test_rows_in_another_order_are_refused(tmp_path: Path) -> None:
    # 20 images, label i mod 10. People are right on ten of them, then on nine.
    rows = [(i, i % 10, i % 10) for i in range(20)]
    answers = [{i % 10: 1.0} if i < 10 else {(i + 1) % 10: 1.0} for i in range(20)]
    assert buckets(Triage(cifar10h=shares_file(tmp_path, *answers)), *rows) == [""] * 20
    answers[0] = {1: 1.0}
    triage = Triage(cifar10h=shares_file(tmp_path, *answers))
    assert refusal(triage, *rows) == (
        "triage.cifar10h is for the CIFAR-10 test set in its order: people agree with 45% of these labels. "
        "Leave it out."
    )
    assert buckets(triage, *rows[1:]) == [""] * 19  # too few to tell
