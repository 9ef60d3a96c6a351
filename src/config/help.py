"""`--help`, read off the files in `conf/`: every group, every option and its first comment."""

import re
from pathlib import Path

from src.config.groups import Group, groups
from src.config.resolvers import CONF_DIR

FIRST = ("experiment", "size", "data")  # what one chooses first
_LAUNCHER = "hydra/launcher"
WORDS = {_LAUNCHER: "where the runs of a sweep (-m) happen; without: here, one after the other"}

_EXAMPLES = """\
  python -m src.train experiment=quickstart                  # a minute, no download
  python -m src.train norm=ln scheduler=onecycle             # ResNet18 with layer norm: wants a GPU
  python -m src.train experiment=resnet18_ln                 # the original course recipe, 40 epochs
  python -m src.train -m optimizer=sgd,adam seed=0,1,2       # six runs to compare
  python -m src.train experiment=cpu optimizer.lr=0.1        # CIFAR-10 on a laptop
  python -m src.train experiment=norms size=cpu              # a named comparison; typed again, it continues
  python -m src.train resume=latest                          # continue exactly where it stopped

Comparing runs: python -m src.compare --help; sweeps end with it
Finished runs (run=latest): python -m src.evaluate --help, src.explain, src.landscape, src.export
What a run will take: python -m src.estimate --help
A learning rate: python -m src.find_lr --help; schedules, drawn: python -m src.plot_schedule --help
A hyperparameter search: python -m src.tune --help"""


def help_text() -> str:
    """The whole help page."""
    lines = [
        "Train an image classifier composed from groups of options.",
        "",
        "  python -m src.train [group=option …] [key=value …]",
        "",
        _EXAMPLES,
        "",
        "Groups and their options (* is the default):",
    ]
    declared = groups()
    names = [*FIRST, *(name for name in declared if name not in (*FIRST, "hydra")), _LAUNCHER]
    for group in names:
        default, words = declared.get(group, Group("", WORDS.get(group, "")))
        lines += ["", f"{group}=   {words}"]
        paths = sorted((CONF_DIR / group).glob("[!_]*.yaml"))
        width = max(16, *(len(path.stem) for path in paths))
        for path in paths:
            star = "*" if default == path.stem else " "
            lines.append(f"  {star} {path.stem:<{width}} {headline(path)}")
    lines += [
        "",
        "Any key can be set: optimizer.lr=0.1 trainer.max_epochs=10 model.width=16 data.root=<folder>",
        "  --cfg job    prints the composed configuration (with --resolve, all values)",
        "  -m           runs every combination of comma-separated values",
        "  --hydra-help Hydra's own flags",
        "Results: outputs/; watch them with  tensorboard --logdir outputs",
    ]
    return "\n".join(lines)


def headline(path: Path) -> str:
    """The first comment of a YAML file that is not a Hydra directive."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and not line.startswith("# @package"):
            return line.removeprefix("#").strip()
    return ""


def look_at(experiment: str) -> str:
    """What the head of an experiment's file says to look at, in one line; empty where it says nothing."""
    path = CONF_DIR / "experiment" / f"{experiment}.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(r"^# Look at: ((?:.*\n)(?:# .*\n)*)", text, flags=re.MULTILINE)
    return " ".join(found[1].replace("\n# ", " ").split()) if found else ""
