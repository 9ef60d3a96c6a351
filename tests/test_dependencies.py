"""docs/dependencies.md tells what is installed, and the lock is one that pip checks."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distributions, version
from pathlib import Path

import pytest

from src.config.resolvers import CONF_DIR
from src.runs.summary import read_summary

ROOT = CONF_DIR.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = re.findall(r"^([\w.-]+)==([\w.+]+)", LOCK, flags=re.MULTILINE)
PERMISSIVE = re.compile(
    r"(0BSD|Apache|BSD|BSL-1.0|CC0-1.0|LLVM-exception|MIT|PSF|Python Software Foundation|Zlib)", re.IGNORECASE
)


def key(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(package: Distribution) -> str:
    """What a package says of its licence: an expression, else classifiers, else the first line of text."""
    about = package.metadata
    classifiers = [
        c.split("::")[-1].strip() for c in about.get_all("Classifier") or [] if c[:9] == "License :"
    ]
    first = (about.get("License") or "").strip().partition("\n")[0]
    return about.get("License-Expression") or "; ".join(classifiers) or first or "none stated"


def permissive(text: str) -> bool:
    """Whether every licence that is named is one that asks for a notice at most."""
    return all(PERMISSIVE.search(part) for part in re.split(r" AND | OR |; | WITH ", text))


def documented() -> dict[str, tuple[str, str]]:
    """Package -> (version, licence), from the tables."""
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.-]+) \| (\d[\w.+]*) \| ([^|]+) \| [^|]+ \|$", text, flags=re.MULTILINE)
    return {key(name): (version, said) for name, version, said in rows}


def test_direct_dependencies_stand_in_the_docs_as_they_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {key(re.split(r"[^\w.-]", line)[0]) for lines in wanted for line in lines} - {
        "trainbench",
        "mlflow",
    }  # tests need no mlflow
    assert len(names) > 30
    versions = {key(name): version for name, version in LOCKED}
    assert names <= versions.keys(), "make lock"
    assert {name: found[0] for name, found in documented().items()} == {
        name: versions[name] for name in documented()
    }
    assert names <= documented().keys()


def test_the_docs_name_every_licence_that_is_installed_and_asks_for_more_than_a_notice() -> None:
    told, locked = documented(), {key(name) for name, _ in LOCKED}
    installed = {key(package.name): package for package in distributions() if key(package.name) in locked}
    assert len(installed) > 80
    for name, package in installed.items():
        assert name in told or permissive(licence(package)), f"{name}: {licence(package)}"
        if name in told and told[name][0] == package.version:
            assert told[name][1] == licence(package), name


def test_licences_by_hand() -> None:
    assert permissive("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0")
    assert permissive("Apache-2.0 WITH LLVM-exception")
    for other in ("MPL-2.0 AND MIT", "GPL-3.0-only", "LicenseRef-NVIDIA-Proprietary", "none stated"):
        assert not permissive(other)


def test_every_locked_package_has_hashes_and_none_a_place() -> None:
    entries = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(LOCKED) > 100
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}$", entry, flags=re.MULTILINE), entry
    assert "://" not in LOCK
    assert "--index" not in LOCK
    assert "--find" not in LOCK


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["resnet18_ln", "speed_94"])
def test_training_needs_only_the_main_packages(experiment: str, tmp_path: Path) -> None:
    """Not those of search, reports, export, image-by-image augmentation and launchers."""
    overrides = [f"experiment={experiment}", "data=digits", "model.width=4", "trainer.max_epochs=1"]
    overrides += ["trainer.limit_train_batches=2", "trainer=cpu", f"hydra.run.dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "tests.without_packages", "src.train", *overrides]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = read_summary(tmp_path / "run")
    assert facts["status"] == "completed"
    assert facts["versions"]["albumentations"] is None
    assert facts["versions"]["torch"] == version("torch")
