"""A first layer that decorrelates image patches, computed from training images and then frozen.

Shapes: B batch, H height, W width, k the patch's height and width, D = 3 k k its number of values.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def patch_filters(images: Tensor, size: int, *, eps: float = 5e-4) -> Tensor:
    """Filters whose answers to patches of these images are uncorrelated, with variance 1: (D, 3, k, k).

    The eigenvectors of the patches' second moments E[x x^T] over the square roots of their eigenvalues,
    the largest first (PCA whitening; Page 2019, "How to train your ResNet 8"; Jordan 2024,
    arXiv:2404.00498, section 3.1).

    Args:
        images: (B, 3, H, W), normalized.
        size: k.
        eps: added to the eigenvalues, so that directions with next to no variance are not blown up.
    """
    patches = F.unfold(images.contiguous(), size).transpose(1, 2).reshape(-1, 3 * size * size)
    moments = (patches.T @ patches / len(patches)).double()
    values, vectors = torch.linalg.eigh(moments)
    filters: Tensor = vectors.T / (values[:, None] + eps).sqrt()
    return filters.flip(0).to(images.dtype).reshape(-1, 3, size, size)


class Whitening(nn.Conv2d):
    """The filters and their negatives, which an activation needs to hand on both signs: B3HW -> B(2D)….

    Its kernel does not train; its bias does. Until `fit` has seen images the kernel is torch's random one.
    """

    def __init__(self, size: int = 2) -> None:
        super().__init__(3, 2 * 3 * size * size, size)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Take the filters from training images (B, 3, H, W), normalized; the bias starts at 0."""
        filters = patch_filters(images, self.kernel_size[0])
        self.weight.copy_(torch.cat([filters, -filters]))
        assert self.bias is not None
        self.bias.zero_()
