"""Do attribution maps point at what the class is? Numbers for images where that is known.

Shapes: N images, H and W of an image, h and w of a layer's maps; masks are true on the objects.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.attribution.grad_cam import grad_cam
from src.attribution.maps import upsample

CHUNK = 64  # images in one pass: the graph of all of them might not fit into memory


class Known(NamedTuple):
    """Images with an object at a known place; with two, labels and masks have an axis of length 2 after N."""

    images: Tensor  # (N, 3, H, W), normalized
    labels: Tensor  # (N,)
    masks: Tensor  # (N, H, W) bool


class Health(NamedTuple):
    """What healthy explanations have: the first three high, the last low."""

    pointing_game: float
    energy_ratio: float
    class_discriminative: float
    spearman_random: float


def health(net: nn.Module, one: Known, two: Known, *, layer: str, seed: int) -> Health:
    """Check Grad-CAM at `layer`, for the true classes of images with one and with two objects.

    `spearman_random` compares the signed maps of `one` at the layer's own resolution with those of
    the same network with weights drawn from `seed`; the others take the heat at the images' size.

    Raises:
        ValueError: from `grad_cam` or `randomized`.
    """
    maps = _layer_maps(net, one.images, one.labels, layer)
    random_maps = _layer_maps(randomized(net, seed=seed), one.images, one.labels, layer)
    size = (one.images.shape[-2], one.images.shape[-1])
    pairs = torch.cat([_layer_maps(net, two.images, labels, layer) for labels in two.labels.unbind(1)], dim=1)
    heat = upsample(F.relu(maps), size)[:, 0]
    return Health(
        pointing_game(heat, one.masks),
        energy_inside(heat, one.masks) / one.masks.double().mean().item(),
        class_discriminative(upsample(F.relu(pairs), size), two.masks),
        mean_abs_spearman(maps[:, 0], random_maps[:, 0]),
    )


def _layer_maps(net: nn.Module, images: Tensor, targets: Tensor, layer: str) -> Tensor:
    """Grad-CAM of one layer, signed: (N, 1, h, w), on the CPU."""
    chunks = zip(torch.split(images, CHUNK), torch.split(targets, CHUNK), strict=True)
    return torch.cat([grad_cam(net, x, k, [layer])[layer].float().cpu() for x, k in chunks])


def pointing_game(maps: Tensor, masks: Tensor) -> float:
    """Share of the maps (N, H, W) whose maximum lies inside the mask (Zhang et al. 2018, arXiv:1608.00507).

    A maximum that is reached outside too points nowhere: a flat map is a miss.
    """
    inside = maps.masked_fill(~masks, -torch.inf).flatten(1).amax(1)
    outside = maps.masked_fill(masks, -torch.inf).flatten(1).amax(1)
    return (inside > outside).double().mean().item()


def energy_inside(maps: Tensor, masks: Tensor) -> float:
    """Mean share of the positive heat of maps (N, H, W) inside the mask (Wang et al. 2020, arXiv:1910.01279).

    A map without positive heat has none inside: 0. Blind maps have the mask's share of the area.
    """
    heat = F.relu(maps.double()).flatten(1)
    total = heat.sum(1)
    inside = (heat * masks.flatten(1)).sum(1)
    return (inside / torch.where(total > 0, total, 1)).mean().item()


def class_discriminative(maps: Tensor, masks: Tensor) -> float:
    """Share of (image, class) where a class's map has more positive heat in its own mask than in the other's.

    Args:
        maps: (N, 2, H, W), of the class of the first and of the second object.
        masks: (N, 2, H, W), of the first and of the second object.
    """
    heat = torch.einsum("nkhw,njhw->nkj", F.relu(maps.double()), masks.double())
    own = heat.diagonal(dim1=1, dim2=2)
    other = heat.flip(2).diagonal(dim1=1, dim2=2)
    return (own > other).double().mean().item()


def mean_abs_spearman(maps_a: Tensor, maps_b: Tensor) -> float:
    """Mean over N of the absolute rank correlation of two maps, (N, h, w) each.

    The sanity check of Adebayo et al. 2018, arXiv:1810.03292: maps that depend on what the
    network has learned are others than those of random weights. Equal values share their mean rank; a flat
    map correlates with nothing: 0.
    """
    a, b = (ranks(maps.flatten(1)) for maps in (maps_a, maps_b))
    a, b = (rank - rank.mean(1, keepdim=True) for rank in (a, b))
    length = (a.square().sum(1) * b.square().sum(1)).sqrt()
    rho = (a * b).sum(1) / torch.where(length > 0, length, 1)
    return rho.abs().mean().item()


def ranks(values: Tensor) -> Tensor:
    """Ranks from 0 in each row of (N, P), float64; equal values share the mean of their ranks."""
    ordered, values = values.sort(dim=1).values, values.contiguous()
    smaller = torch.searchsorted(ordered, values)
    not_larger = torch.searchsorted(ordered, values, right=True)
    return (smaller + not_larger - 1).double() / 2


def randomized(net: nn.Module, *, seed: int) -> nn.Module:
    """A copy of a network with newly drawn weights; neither the network nor any random state changes.

    Drawn on the CPU, so that a seed means the same weights on every device.

    Raises:
        ValueError: a module has parameters and no `reset_parameters` to draw them.
    """
    device = next(net.parameters()).device
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs as well
        fresh = copy.deepcopy(net).cpu()
        for name, module in fresh.named_modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
            elif any(True for _ in module.parameters(recurse=False)):
                raise ValueError(
                    f"cannot draw new weights for {name}: {type(module).__name__} has no reset_parameters."
                )
        return fresh.to(device)
