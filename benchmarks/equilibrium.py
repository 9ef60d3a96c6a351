"""Do weights settle at the predicted size of update? `python -m benchmarks.equilibrium`, a minute.

Three convolutions, each with its norm and ReLU, on CIFAR-10 (in DATA_ROOT) at a constant learning rate:
SGD with momentum 0.9 after BatchNorm and after LayerNorm over C, H and W (GroupNorm of one group), and
AdamW after BatchNorm. The root mean square of ||dw|| / ||w|| over the second half of the steps is set
against `src.metrics.updates.equilibrium`; docs/pictures/equilibrium.png shows all steps.

Weights balance after about 1 / (lr * weight_decay) steps, 1 - momentum times as many with SGD: the decays
are large so that this is 200 steps for SGD and 500 for AdamW, well within the first half.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.datasets import CIFAR10

from src.metrics.updates import equilibrium, relative_update
from src.models.norms import group_norm
from src.optim.param_groups import make_optimizer

STEPS, BURN_IN, BATCH = 2500, 1250, 64
WINDOW = 50  # steps that a point of the picture averages
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01)
ADAMW = partial(torch.optim.AdamW, lr=0.002, weight_decay=1.0)
SETTINGS: dict[str, tuple[Callable[..., Any], Callable[[int], nn.Module], float]] = {
    "SGD, bn": (SGD, nn.BatchNorm2d, 0.05),  # the last: how far off the line it may be
    "SGD, ln": (SGD, partial(group_norm, num_groups=1), 0.05),
    "AdamW, bn": (ADAMW, nn.BatchNorm2d, 0.15),
}
COLORS = ("#0072B2", "#C44E00", "#009E73")


def images_and_labels() -> tuple[Tensor, Tensor]:
    """The training set: (50000, 3, 32, 32) of mean 0 and standard deviation 1, labels."""
    data = CIFAR10(os.environ.get("DATA_ROOT", "data"))
    pixels = torch.from_numpy(data.data).permute(0, 3, 1, 2).float()
    return (pixels - pixels.mean()) / pixels.std(), torch.tensor(data.targets)


def three_convs(norm_layer: Callable[[int], nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for in_channels, out_channels in ((3, 16), (16, 32), (32, 64)):
        conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        layers += [conv, norm_layer(out_channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def walk(
    optimizer: Callable[..., Any], norm_layer: Callable[[int], nn.Module], data: tuple[Tensor, Tensor]
) -> tuple[np.ndarray, float]:
    """||dw|| / ||w|| of each step and convolution, (STEPS, 3), and the line."""
    torch.manual_seed(0)
    net = three_convs(norm_layer)
    moving = make_optimizer(optimizer, net, decay_norm_and_bias=False)
    weights = [module.weight for module in net if isinstance(module, nn.Conv2d)]
    line = equilibrium(moving.param_groups[0], moving)
    assert line is not None
    sizes = np.empty((STEPS, len(weights)))
    for step in range(STEPS):
        chosen = torch.randint(len(data[1]), (BATCH,))
        moving.zero_grad()
        F.cross_entropy(net(data[0][chosen]), data[1][chosen]).backward()  # type: ignore[no-untyped-call]
        before = [w.detach().clone() for w in weights]
        moving.step()
        sizes[step] = [relative_update([b], [w.detach()]) for b, w in zip(before, weights, strict=True)]
    return sizes, line


def rms(sizes: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    root: np.ndarray = np.sqrt((sizes**2).mean(axis=0))
    return root


def picture(found: dict[str, tuple[np.ndarray, float]]) -> Figure:
    figure = Figure(figsize=(9, 3), layout="constrained")
    for panel, (name, (sizes, line)) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        averaged = np.stack([rms(part) for part in np.split(sizes, STEPS // WINDOW)])
        for conv, color in enumerate(COLORS):
            middle = (np.arange(len(averaged)) + 0.5) * WINDOW
            panel.plot(middle, averaged[:, conv], color=color, label=f"conv{conv + 1}")
        panel.axhline(line, color="#1a1a1a", linestyle="--", label="equilibrium")
        panel.set_yscale("log")
        panel.set(title=name, xlabel="step", ylim=(line / 4, line * 4))
        panel.grid(alpha=0.3, which="both")
    figure.axes[0].set_ylabel("‖Δw‖ / ‖w‖")
    figure.axes[0].legend(fontsize=8)
    return figure


def main() -> None:
    data = images_and_labels()
    found = {name: walk(*setting[:2], data) for name, setting in SETTINGS.items()}
    for name, (sizes, line) in found.items():
        ratios = rms(sizes[BURN_IN:]) / line
        worst, allowed = max(abs(ratios - 1)), SETTINGS[name][2]
        shown = "  ".join(f"conv{conv + 1} {ratio:.3f}" for conv, ratio in enumerate(ratios))
        verdict = "as predicted" if worst <= allowed else "OFF"
        print(f"{name:<10} line {line:.5f}  measured / line: {shown}  ({verdict}: within {allowed:.0%})")
    path = Path(__file__).parents[1] / "docs" / "pictures" / "equilibrium.png"
    path.parent.mkdir(exist_ok=True)
    picture(found).savefig(path, dpi=110)
    print(f"docs/pictures/{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
