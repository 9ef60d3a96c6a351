"""Normalization layers with one call shape: `norm_layer(num_channels)`.

Shapes: B batch, C channels, H height, W width. Every layer maps BCHW -> BCHW.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

NormLayer = Callable[[int], nn.Module]


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over C at each (h, w), biased variance (Ba et al. 2016, arXiv:1607.06450)."""

    def forward(self, x_bchw: Tensor) -> Tensor:
        x_bhwc = x_bchw.permute(0, 2, 3, 1)
        y_bhwc = F.layer_norm(x_bhwc, self.normalized_shape, self.weight, self.bias, self.eps)
        return y_bhwc.permute(0, 3, 1, 2)


def group_norm(num_channels: int, *, num_groups: int, eps: float = 1e-5) -> nn.GroupNorm:
    """GroupNorm (Wu & He 2018, arXiv:1803.08494); `num_groups=1` normalizes over C, H and W.

    Raises:
        ValueError: `num_groups` does not divide `num_channels`.
    """
    if num_channels % num_groups:
        divisors = [g for g in range(1, num_channels + 1) if num_channels % g == 0]
        raise ValueError(
            f"num_groups must divide num_channels: got num_groups={num_groups}, "
            f"num_channels={num_channels}. Valid here: {divisors}."
        )
    return nn.GroupNorm(num_groups, num_channels, eps)
