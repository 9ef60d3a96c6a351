"""Run a module as if some packages were not installed: `python -m tests.without_packages src.train …`."""

import runpy
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.metadata import Distribution
from importlib.metadata import DistributionFinder as Finder
from typing import Any

# What training does not need: image-by-image augmentation, search, reports, export, launchers, test tools
ABSENT = {"albumentations", "albucore", "optuna", "plotly", "pytorch_optimizer", "safetensors", "submitit"}
ABSENT |= {"hydra_plugins", "hydra_joblib_launcher", "hydra_submitit_launcher", "onnx", "onnxruntime"}
ABSENT |= {"onnxscript", "pytorch_grad_cam", "grad_cam", "hypothesis"}


class Without(MetaPathFinder):
    """A finder of modules and distributions that does not find the absent ones."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return None if name.partition(".")[0] in ABSENT else self.finder.find_spec(name, path, target)

    def find_distributions(self, context: Finder.Context | None = None) -> Iterator[Distribution]:
        found = getattr(self.finder, "find_distributions", lambda _: ())
        for distribution in found(context or Finder.Context()):
            if distribution.metadata["Name"].replace("-", "_").lower() not in ABSENT:
                yield distribution


if __name__ == "__main__":
    sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
