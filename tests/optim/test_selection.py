import pytest
import torch

from src.optim.selection import hardest

# Logits (x, 0): the loss of class 0 is log(1 + exp(-x)), so small x is hard
IMAGES = torch.tensor([3.0, -1.0, 2.0, 0.5, -2.0]).reshape(5, 1, 1, 1)
LABELS = torch.tensor([0, 0, 1, 0, 1])  # class 1 is hard where x is large


def forward(images: torch.Tensor) -> torch.Tensor:
    scores = images.flatten(1)
    return torch.cat([scores, torch.zeros_like(scores)], dim=1)


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.4, [1, 2]), (0.6, [1, 2, 3]), (1.0, [0, 1, 2, 3, 4]), (0.01, [2])]
)
def test_the_highest_losses_in_the_order_of_the_batch(fraction: float, kept: list[int]) -> None:
    # Margins for the wrong class: -3, 1, 2, -0.5, -2
    images, labels = hardest(forward, IMAGES, LABELS, fraction=fraction)
    assert torch.equal(images, IMAGES[kept])
    assert torch.equal(labels, LABELS[kept])


def test_memory_stays_channels_last() -> None:
    images = torch.randn(4, 3, 5, 6).contiguous(memory_format=torch.channels_last)
    kept, _ = hardest(lambda x: x.mean((2, 3)), images, torch.tensor([0, 1, 2, 0]), fraction=0.5)
    assert kept.is_contiguous(memory_format=torch.channels_last)
