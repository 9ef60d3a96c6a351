"""`--help`, read off the files in `conf/`: every group, every option and its first comment."""

import re
from pathlib import Path

from src.config.resolvers import CONF_DIR, NOT_COMPOSED

# In the order in which one reads a run; a group that is not here comes last, without words.
GROUPS = {
    "experiment": "a whole recipe, or a sweep of several runs that needs no -m",
    "size": "how large network and training are, after the experiment: for a CPU or a GPU",
    "data": "what is learned from",
    "augment": "how training images are varied",
    "model": "the network",
    "norm": "the normalization in every block",
    "init": "how kernels start",
    "optimizer": "how weights move",
    "scheduler": "how the learning rate moves",
    "loss": "what is minimized",
    "resize": "the size of training images by the share of training done",
    "select": "which images of a batch a step learns from",
    "tta": "what else the test looks at",
    "average": "which weights are validated and kept: the last, or an average",
    "module": "L1, learning-rate factors, memory layout, compile",
    "trainer": "device, epochs, precision, clipping",
    "machine": "threads, kept memory, precision of products",
    "callbacks": "what is watched and kept",
    "logger": "where curves go",
    "debug": "finding out what is wrong; each prints the traceback of a run that fails",
    "paths": "folders",
    "hydra/launcher": "where the runs of a sweep (-m) happen; without: here, one after the other",
}

EXAMPLES = """\
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
    defaults = default_options()
    lines = [
        "Train an image classifier composed from groups of options.",
        "",
        "  python -m src.train [group=option …] [key=value …]",
        "",
        EXAMPLES,
        "",
        "Groups and their options (* is the default):",
    ]
    found = {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()} - {"hydra", *NOT_COMPOSED}
    found.add("hydra/launcher")
    for group in [*(g for g in GROUPS if g in found), *sorted(found - set(GROUPS))]:
        lines += ["", f"{group}=   {GROUPS.get(group, '')}"]
        paths = sorted((CONF_DIR / group).glob("[!_]*.yaml"))
        width = max(16, *(len(path.stem) for path in paths))
        for path in paths:
            star = "*" if defaults.get(group) == path.stem else " "
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


def default_options() -> dict[str, str]:
    """group -> option, as `train.yaml` lists them."""
    import yaml

    entries = yaml.safe_load((CONF_DIR / "train.yaml").read_text(encoding="utf-8"))["defaults"]
    return {k: v for entry in entries if isinstance(entry, dict) for k, v in entry.items()}
