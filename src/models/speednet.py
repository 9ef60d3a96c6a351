"""SpeedNet: a small network built for fast training (Jordan 2024, arXiv:2404.00498, "airbench").

Shapes: B batch, H height, W width.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from src.models.init import Init, dirac
from src.models.norms import NormLayer
from src.models.whitening import Whitening


def _speed_block(
    in_channels: int, out_channels: int, norm_layer: NormLayer, activation: Callable[[], nn.Module]
) -> nn.Sequential:
    """Two 3x3 convolutions, the first one pooled: BCHW -> B(out)(H/2)(W/2)."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            pool=nn.MaxPool2d(2),
            norm1=norm_layer(out_channels),
            act1=activation(),
            conv2=nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            norm2=norm_layer(out_channels),
            act2=activation(),
        )
    )


class SpeedNet(nn.Module):
    """Whitened patches, blocks of two convolutions, max pool, linear head: B3HW -> logits.

    Args:
        num_classes: number of logits.
        norm_layer: makes the normalization of a number of channels.
        width: channels of the first block.
        multiples: channels of each block, in widths; every block halves the map.
        init: how the blocks' kernels start.
        activation: makes the activation after the stem and after every norm.
        train_gains: whether the norms' scales train; their shifts always do.

    Raises:
        ValueError: there are no multiples, or a size is less than 1.
    """

    def __init__(
        self,
        num_classes: int,
        norm_layer: NormLayer = nn.BatchNorm2d,
        *,
        width: int = 64,
        multiples: Sequence[int] = (1, 4, 4),
        init: Init = dirac,
        activation: Callable[[], nn.Module] = nn.GELU,
        train_gains: bool = False,
    ) -> None:
        super().__init__()
        if not multiples or min(width, *multiples) < 1:
            raise ValueError(
                f"width must be 1 or more, multiples one or more numbers of 1 or more: got width={width}, "
                f"multiples={list(multiples)}."
            )
        stem = Whitening()
        self.stem = nn.Sequential(OrderedDict[str, nn.Module](conv=stem, act=activation()))
        self.block_names = [f"block{count + 1}" for count in range(len(multiples))]
        in_channels = stem.out_channels
        for name, multiple in zip(self.block_names, multiples, strict=True):
            block = _speed_block(in_channels, width * multiple, norm_layer, activation)
            init(block)
            self.add_module(name, block)
            in_channels = width * multiple
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Linear(in_channels, num_classes, bias=False)
        nn.init.normal_(self.head.weight, std=1 / in_channels)  # small logits: all classes start alike
        for name, parameter in self.named_parameters():
            if name.endswith(".weight") and parameter.ndim == 1:
                parameter.requires_grad_(train_gains)

    def fit_to(self, images: Tensor) -> None:
        """Compute the stem from training images (B, 3, H, W), normalized; once, before training."""
        stem = self.stem.get_submodule("conv")
        assert isinstance(stem, Whitening)
        stem.fit(images)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for name in self.block_names:
            x = self.get_submodule(name)(x)
        logits: Tensor = self.head(self.pool(x).flatten(1))
        return logits
