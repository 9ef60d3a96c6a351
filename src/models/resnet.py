"""ResNet of basic blocks for small images (He et al. 2016, arXiv:1512.03385).

Shapes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from src.models.init import Init, keep
from src.models.norms import NormLayer


class Pointwise(nn.Conv2d):
    """1x1 convolution of every `step`-th pixel: what a strided one computes, bit for bit, and faster on CPUs.

    The strided one's backward, in torch 2.14 on CPUs, corrupts memory with 8 to 15 input channels in
    channels_last where two batches differ in size, as an epoch's last one does.
    """

    def __init__(self, in_channels: int, out_channels: int, step: int) -> None:
        super().__init__(in_channels, out_channels, 1, bias=False)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., :: self.step, :: self.step])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: BCHW -> B(out)(H/stride)(W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm_layer: NormLayer) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = norm_layer(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = norm_layer(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            conv = Pointwise(in_channels, out_channels, stride)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=norm_layer(out_channels)))
        # In place on the norms' and the sum's own outputs only: what a block returns is never changed.
        self.relu: Callable[[Tensor], Tensor] = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        sums: Tensor = self.norm2(self.conv2(y)) + self.shortcut(x)
        return self.relu(sums)


class ResNet(nn.Module):
    """Stem, stages of basic blocks, global average pool, linear head: B3HW -> logits (B, num_classes).

    The defaults are the original course's ResNet18; layers are named `stage2.block1.conv2`.

    Args:
        num_classes: number of logits.
        norm_layer: makes the normalization of a number of channels; used in stem, blocks and shortcuts.
        width: channels of the first stage; each later stage has twice as many as the one before.
        strides: stride of each stage's first block.
        num_blocks: basic blocks in each stage.
        init: how the kernels start.

    Raises:
        ValueError: `strides` and `num_blocks` differ in length, or a size is less than 1.
    """

    def __init__(
        self,
        num_classes: int,
        norm_layer: NormLayer = nn.BatchNorm2d,
        *,
        width: int = 64,
        strides: Sequence[int] = (1, 1, 2, 2),
        num_blocks: Sequence[int] = (2, 2, 2, 2),
        init: Init = keep,
    ) -> None:
        super().__init__()
        if len(strides) != len(num_blocks):
            raise ValueError(
                f"strides and num_blocks must be equally long: got {list(strides)}, {list(num_blocks)}."
            )
        if min(width, *strides, *num_blocks) < 1:
            raise ValueError(
                f"width, strides and num_blocks must be 1 or more: got width={width}, "
                f"strides={list(strides)}, num_blocks={list(num_blocks)}."
            )
        conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.stem = nn.Sequential(OrderedDict(conv=conv, norm=norm_layer(width), relu=nn.ReLU(inplace=True)))
        self.stage_names = [f"stage{stage + 1}" for stage in range(len(strides))]
        in_channels = width
        for stage, (stride, count) in enumerate(zip(strides, num_blocks, strict=True)):
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for block in range(count):
                blocks[f"block{block + 1}"] = BasicBlock(
                    in_channels, width * 2**stage, stride if block == 0 else 1, norm_layer
                )
                in_channels = width * 2**stage
            self.add_module(self.stage_names[stage], nn.Sequential(blocks))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(in_channels, num_classes)
        init(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
        logits: Tensor = self.head(self.pool(x).flatten(1))
        return logits
