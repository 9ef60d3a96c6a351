"""Why a network errs: a bucket for each mistake, from what people and other networks say of the image.

The people's files are public and not shipped: docs/triage.md. N images; an image's index is its position in
the test set, for CIFAR-10 its row in `test_batch`.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_Checks = dict[int, tuple[int, bool]]  # by index: the image's label, and a verdict
_Verdicts = tuple[np.ndarray, np.ndarray]  # (N,) bool each


class Triage:
    """The bucket of each mistake; what is None says nothing, `given` is whether anything does.

    Args:
        cifar10h: people's answers, see `read_shares`.
        label_errors: labels that people checked, see `read_checks`.
        peers: other networks' `predictions.csv`, folders that hold one, or patterns (`*`) of either.
        split_below: people split where the label has less than this share, 0 to 1, of their answers.

    Raises:
        FileNotFoundError, ValueError: a path leads to no file, or to one of another format.
    """

    def __init__(
        self,
        *,
        cifar10h: str | None = None,
        label_errors: str | None = None,
        peers: str | Sequence[str] | None = None,
        split_below: float = 0.75,
    ) -> None:
        if not 0 <= split_below <= 1:
            raise ValueError(f"triage.split_below is a share and must be from 0 to 1: got {split_below}.")
        self.split_below = split_below
        self.shares = None if cifar10h is None else read_shares(cifar10h)
        self.checks: _Checks = {} if label_errors is None else read_checks(label_errors)
        self.peers = {str(path): read_peer(path) for path in peer_files(peers)}
        self.given = bool(cifar10h or label_errors or self.peers)

    def __call__(self, indices: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> list[str]:
        """The bucket of each mistake, "" for the rest, from (N,) integers. Refuses files of other images."""
        rejected = split = np.zeros(len(labels), dtype=bool)
        if self.shares is not None:
            rejected, split = people_say(self.shares, indices, labels, self.split_below)
        ours = dict(zip(indices.tolist(), labels.tolist(), strict=True))
        _refuse_other_labels("triage.label_errors", self.checks, ours)
        for path, said in self.peers.items():
            _refuse_other_labels(f"triage.peers: {path}", said, ours)
            if not said.keys() & ours.keys():
                raise ValueError(f"triage.peers: {path} has none of these {len(ours)} images. Leave it out.")
        buckets = [""] * len(labels)
        for n in np.flatnonzero(labels != predictions):
            index = int(indices[n])
            label_wrong = bool(rejected[n]) or self.checks.get(index, (0, False))[1]
            peers_right = [said[index][1] for said in self.peers.values() if index in said]
            buckets[n] = bucket(label_wrong, bool(split[n]), peers_right)
        return buckets


def bucket(label_wrong: bool, people_split: bool, peers_right: Sequence[bool]) -> str:
    """The first that fits a mistake; `peers_right` has an entry for each peer that saw the image."""
    if label_wrong or people_split:
        return "likely label error" if label_wrong else "humans split"
    if not any(peers_right):
        return "everyone fails" if peers_right else "unexplained"
    return "only this network" if all(peers_right) else "some fail"


def people_say(shares: np.ndarray, indices: np.ndarray, labels: np.ndarray, split_below: float) -> _Verdicts:
    """Where another class has at least half of the answers and more than the label; where people split."""
    last, top = indices.max(initial=0), labels.max(initial=0)
    if last >= len(shares) or top >= 10:
        given = f"got image {last} of {len(shares)} and label {top}"
        raise ValueError(f"triage.cifar10h is for the CIFAR-10 test set: {given}. Leave it out.")
    most, own = shares[indices].max(axis=1), shares[indices, labels]
    if len(labels) >= 20 and (agree := np.mean(own == most)) < 0.5:  # among fewer it may be so by chance
        given = f"people agree with {agree:.0%} of these labels"
        raise ValueError(f"triage.cifar10h is for the CIFAR-10 test set in its order: {given}. Leave it out.")
    return (most >= 0.5) & (most > own), own < split_below


def read_shares(path: str) -> np.ndarray:
    """Shares (images, 10) of people's answers, from CIFAR-10H (Peterson et al. 2019, arXiv:1908.07086)."""
    wanted = "cifar10h-probs.npy or cifar10h-counts.npy, 10 numbers an image"
    with reading("cifar10h", path, wanted), Path(path).open("rb") as file:
        votes = np.load(file, allow_pickle=False)  # a pickle could run code
        if votes.shape[1:] != (10,) or not (votes >= 0).all() or not votes.any(axis=1).all():
            raise ValueError
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def read_checks(path: str) -> _Checks:
    """Checked labels; wrong if most raters did not choose them (Northcutt et al. 2021, arXiv:2103.14749)."""
    with reading("label_errors", path, "cifar10_mturk.json, a list of id, given_original_label and mturk"):
        rows = [(e["id"], e["given_original_label"], e["mturk"]) for e in json.loads(Path(path).read_bytes())]
        return {int(i): (int(y), 2 * raters["given"] < sum(raters.values())) for i, y, raters in rows}


def read_peer(path: Path) -> _Checks:
    """A network's labels, and whether it is right, from its `predictions.csv`."""
    wanted = "a predictions.csv with whole numbers under index, label and prediction"
    with reading("peers", path, wanted), path.open(newline="", encoding="utf-8") as file:
        rows = [(int(r["index"]), int(r["label"]), int(r["prediction"])) for r in csv.DictReader(file)]
        if not rows:
            raise ValueError
    return {index: (label, label == prediction) for index, label, prediction in rows}


@contextmanager
def reading(key: str, path: str | Path, wanted: str) -> Iterator[None]:
    """Say of a file that cannot be read which it is, and what is wanted."""
    wanted = f"{wanted}. See docs/triage.md."
    try:
        yield
    except OSError as error:
        raise FileNotFoundError(f"triage.{key}: {path}: {error.strerror}. Wanted is {wanted}") from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, csv.Error):
        raise ValueError(f"triage.{key}: {path} is not {wanted}") from None


def peer_files(peers: str | Sequence[str] | None) -> list[Path]:
    """The files that paths and patterns name, each once; a pattern passes over all else."""
    files = []
    for name in [peers] if isinstance(peers, str) else peers or []:
        path = Path(name)
        found = [path] if path.exists() else Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        named = [p / "predictions.csv" if p.is_dir() else p for p in sorted(found)]
        if not (named := [p for p in named if p.is_file() and p.suffix == ".csv"]):
            raise FileNotFoundError(f"triage.peers: {name} names no predictions.csv and no folder with one.")
        files += named
    return list({path.resolve(): path for path in files}.values())


def _refuse_other_labels(name: str, said: _Checks, ours: dict[int, int]) -> None:
    """Raise ValueError if a file has another label for one of our images."""
    for index in sorted(said.keys() & ours.keys()):
        if said[index][0] != ours[index]:
            raise ValueError(
                f"{name} is of another dataset: image {index} has label {said[index][0]} there and "
                f"{ours[index]} here. Leave it out."
            )
