"""Mean loss and accuracy of an epoch, as sums that wait for no device.

Shapes: B batch, K classes.
"""

import torch
from torch import Tensor, nn
from torchmetrics import Metric


class ImageMean(Metric):
    """A mean over the images of all batches and processes; NaN stays NaN.

    torchmetrics' MeanMetric looks for NaN in every batch, which waits for the device; with
    nan_strategy="disable" it forgets the weights (1.9.0).
    """

    full_state_update = False
    total: Tensor
    num_images: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "num_images"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, total: Tensor, num_images: int) -> None:
        """Add a batch: the sum of its images' values, and how many they are."""
        self.total += total
        self.num_images += num_images

    def compute(self) -> Tensor:
        return self.total / self.num_images


class StageMetrics(nn.Module):
    """Mean loss and accuracy over an epoch, each image weighing the same."""

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.acc = ImageMean(), ImageMean()

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss, logits (B, K), labels (B,)."""
        self.loss.update(loss * len(labels), len(labels))
        self.acc.update((logits.argmax(1) == labels).sum(), len(labels))

    @property
    def sums(self) -> Tensor:
        """(4,) losses, images, right answers, images: of this process, since the last epoch's end."""
        return torch.stack([self.loss.total, self.loss.num_images, self.acc.total, self.acc.num_images])

    @sums.setter
    def sums(self, sums: Tensor) -> None:
        self.loss.total, self.loss.num_images, self.acc.total, self.acc.num_images = sums.clone()

    @property
    def is_empty(self) -> bool:
        """Whether no batch has been added since the last epoch's end."""
        return not self.loss.update_called
