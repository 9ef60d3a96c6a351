"""ResNet9, the DAWNBench shape (Page 2018, "How to train your ResNet").

Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict

from torch import Tensor, nn

from src.models.init import Init, keep
from src.models.norms import NormLayer


def _conv_block(in_channels: int, out_channels: int, norm_layer: NormLayer, *, pool: bool) -> nn.Sequential:
    """3x3 convolution, 2x2 max pool if asked for, norm, ReLU."""
    layers = OrderedDict[str, nn.Module](conv=nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False))
    if pool:
        layers["pool"] = nn.MaxPool2d(2)
    layers["norm"] = norm_layer(out_channels)
    layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class _ResidualPair(nn.Module):
    """x + two convolution blocks of x: BCHW -> BCHW."""

    def __init__(self, num_channels: int, norm_layer: NormLayer) -> None:
        super().__init__()
        self.block1 = _conv_block(num_channels, num_channels, norm_layer, pool=False)
        self.block2 = _conv_block(num_channels, num_channels, norm_layer, pool=False)

    def forward(self, x: Tensor) -> Tensor:
        sums: Tensor = x + self.block2(self.block1(x))
        return sums


class ResNet9(nn.Module):
    """Prep, three pooled layers, two residual pairs, max pool, linear head: B3HW -> logits.

    At 32x32 the last map is 4x4 and the final pool takes it whole; other sizes work alike.

    Args:
        num_classes: number of logits.
        norm_layer: makes the normalization of a number of channels.
        width: channels of the first layer; the others have 2, 4 and 8 times as many.
        init: how the kernels start.

    Raises:
        ValueError: `width` is less than 1.
    """

    def __init__(
        self,
        num_classes: int,
        norm_layer: NormLayer = nn.BatchNorm2d,
        *,
        width: int = 64,
        init: Init = keep,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be 1 or more: got {width}.")
        self.prep = _conv_block(3, width, norm_layer, pool=False)
        self.layer1 = _conv_block(width, 2 * width, norm_layer, pool=True)
        self.pair1 = _ResidualPair(2 * width, norm_layer)
        self.layer2 = _conv_block(2 * width, 4 * width, norm_layer, pool=True)
        self.layer3 = _conv_block(4 * width, 8 * width, norm_layer, pool=True)
        self.pair3 = _ResidualPair(8 * width, norm_layer)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(8 * width, num_classes, bias=False)
        init(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pair1(self.layer1(self.prep(x)))
        x = self.pair3(self.layer3(self.layer2(x)))
        logits: Tensor = self.head(self.pool(x).flatten(1))
        return logits
