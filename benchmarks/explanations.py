"""What explanations cost: `python -m benchmarks.explanations [epochs]`.

1. FLOPs of Grad-CAM in four layers, in one pass and by four calls of Captum, per forward pass.
2. Time of a test pass with evidence maps of all classes, against the plain pass: alternating, medians.
3. The share of a run (`experiment=cpu`, ten epochs if not said otherwise) that the default callbacks
   for mistakes and explanations take: their hooks timed inside the run, against its wall time.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from src.attribution.capture import map_layers
from src.attribution.evidence import evidence
from src.attribution.grad_cam import captum_grad_cam, grad_cam
from src.callbacks.calibration import Calibration
from src.callbacks.confusion import Confusion
from src.callbacks.evaluation import EvaluationViews
from src.callbacks.guide import Guide
from src.callbacks.misclassified import MistakesView
from src.callbacks.predictions import PredictionsFile
from src.callbacks.projector import Projector
from src.models.resnet import ResNet
from src.notebook import compose, train

ROUNDS = 15
BATCHES = 4  # of 256 images


def flops() -> None:
    """Part 1, on the default ResNet18."""
    net, images, targets = ResNet(10).eval(), torch.randn(2, 3, 32, 32), torch.tensor([3, 5])
    layers = map_layers(net, 32)

    def count(run: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter:
            run()
        return int(counter.get_total_flops())

    forward = count(lambda: net(images))
    for name, method in (("one pass", grad_cam), ("Captum, four calls", captum_grad_cam)):
        ratio = count(partial(method, net, images, targets, layers)) / forward
        print(f"Grad-CAM of {', '.join(layers)}, {name}: {ratio:.2f} x a forward pass")


def evidence_time() -> None:
    """Part 2, on the network of `experiment=cpu` and on the default strides at width 16."""
    for width, strides in ((32, (2, 2, 2, 2)), (16, (1, 1, 2, 2))):
        net = ResNet(10, width=width, strides=strides).eval().to(memory_format=torch.channels_last)
        images = torch.randn(256, 3, 32, 32).to(memory_format=torch.channels_last)

        def plain(net: ResNet = net, images: torch.Tensor = images) -> None:
            with torch.inference_mode():
                for _ in range(BATCHES):
                    net(images)

        def explained(net: ResNet = net, images: torch.Tensor = images) -> None:
            with torch.inference_mode():
                for _ in range(BATCHES):
                    evidence(net, images)

        ratios = []
        for _ in range(ROUNDS):
            times = []
            for run in (plain, explained):
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
            ratios.append(times[1] / times[0])
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(
            f"evidence maps of all classes, width {width}, strides {strides}: {middle:.3f} x a plain pass "
            f"(median of {ROUNDS}, {low:.3f} to {high:.3f})"
        )


def callbacks_share(epochs: int) -> None:
    """Part 3."""
    seconds: dict[str, float] = {}

    def timed(cls: type, name: str) -> None:
        hook = getattr(cls, name)

        @wraps(hook)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return hook(self, *args, **kwargs)
            finally:
                key = type(self).__name__
                seconds[key] = seconds.get(key, 0.0) + time.perf_counter() - start

        setattr(cls, name, wrapper)

    for name in ("on_validation_batch_end", "on_test_batch_end"):
        timed(EvaluationViews, name)
    for kind in (MistakesView, Confusion, Calibration, Projector, PredictionsFile):
        timed(kind, "__call__")
    timed(Guide, "write")
    start = time.perf_counter()
    train(compose("experiment=cpu", f"trainer.max_epochs={epochs}", "task_name=benchmark"))
    wall = time.perf_counter() - start
    spent = sum(seconds.values())
    for key, value in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"  {key:<16} {value:6.2f} s")
    added = spent / (wall - spent)
    print(f"callbacks: {spent:.1f} s of {wall:.0f} s: they add {added:.2%} to the run without them")


if __name__ == "__main__":
    flops()
    evidence_time()
    callbacks_share(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
