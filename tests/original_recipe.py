"""The original course's network and training loop in plain PyTorch, written from its description alone.

Nothing is imported from `src`: tests/test_original_recipe.py trains both on the same batches.
Shapes: B batch, C channels, H height, W width.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORMS: dict[str, Callable[[int], nn.Module]] = {"bn": nn.BatchNorm2d, "ln": lambda c: nn.GroupNorm(1, c)}


class Block(nn.Module):
    """Two convolutions with their norms and a shortcut, which is a convolution where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = norm(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, stride=1, padding=1, bias=False)
        self.second_norm = norm(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.first_norm(self.first(x)))
        out = self.second_norm(self.second(out))
        return F.relu(out + self.shortcut(x))


def resnet18(norm: str, width: int) -> nn.Sequential:
    """B3HW -> logits (B, 10): stem, four stages of two blocks (strides 1, 1, 2, 2), average, linear."""
    make = NORMS[norm]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), make(width), nn.ReLU()]
    inputs = width
    for outputs, stride in ((width, 1), (2 * width, 1), (4 * width, 2), (8 * width, 2)):
        layers += [Block(inputs, outputs, stride, make), Block(outputs, outputs, 1, make)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, 10))


def make_optimizer(name: str, net: nn.Module) -> torch.optim.Optimizer:
    """SGD or Adam at 0.01; the L2 penalty is added to the gradient."""
    if name == "adam":
        return torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
    return torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)


class Step(NamedTuple):
    """What one step of training left."""

    loss: float
    weights: list[Tensor]  # of all parameters, after the step


def train(
    net: nn.Module, optimizer: torch.optim.Optimizer, batches: Sequence[tuple[Tensor, Tensor]]
) -> list[Step]:
    """One cycle over the batches: gradients clipped by value, the rate moved after every step."""
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, total_steps=len(batches), pct_start=0.3
    )
    steps = []
    net.train()
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        nn.utils.clip_grad_value_(net.parameters(), 0.1)
        optimizer.step()
        cycle.step()
        steps.append(Step(loss.item(), [p.detach().clone() for p in net.parameters()]))
    return steps


def cycle_at(step: int, total_steps: int) -> tuple[float, float]:
    """Learning rate and beta1 of a step, counted from 0 (Smith & Topin 2018, arXiv:1708.07120).

    The rate goes from 0.01 / 25 to 0.01 at 30 % of the run, then to 0.01 / 25 / 10,000; beta1 from 0.95 to
    0.85 and back; both along half a cosine.
    """
    peak, end = 0.3 * total_steps - 1, total_steps - 1
    if step <= peak:
        done, rates, betas = step / peak, (0.01 / 25, 0.01), (0.95, 0.85)
    else:
        done, rates, betas = (step - peak) / (end - peak), (0.01, 0.01 / 25 / 10_000), (0.85, 0.95)
    share = (1 - math.cos(math.pi * done)) / 2
    return tuple(low + (high - low) * share for low, high in (rates, betas))  # type: ignore[return-value]
