"""SpeedNet, its whitened stem and the ways kernels start."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from src.models.cost import count_macs, num_params
from src.models.init import dirac, kaiming
from src.models.speednet import SpeedNet
from src.models.whitening import Whitening, patch_filters


def correlated_images(count: int = 64) -> torch.Tensor:
    """Noise that is smeared over neighbours and colors, so that patches have something to decorrelate."""
    noise = torch.randn(count, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 2, 1) + 0.5 * noise.mean(1, keepdim=True)[..., :-1, :-1]


def test_filters_whiten_the_patches() -> None:
    images = correlated_images()
    answers = F.conv2d(images, patch_filters(images, 2, eps=0.0)).transpose(0, 1).flatten(1)
    moments = answers @ answers.T / answers.shape[1]
    torch.testing.assert_close(moments, torch.eye(12), atol=1e-3, rtol=0)


def test_filters_come_with_the_strongest_direction_first() -> None:
    # Grey images of one value each: all of the variance lies along (1, …, 1) / sqrt(12)
    images = torch.randn(50, 1, 1, 1, generator=torch.Generator().manual_seed(0)).expand(50, 3, 4, 4)
    first = patch_filters(images, 2)[0].flatten()
    size = images[:, 0, 0, 0].square().mean() * 12  # the eigenvalue
    torch.testing.assert_close(first.abs(), torch.full((12,), float((1 / 12 / (size + 5e-4)).sqrt())))


def test_the_stem_is_frozen_but_for_its_bias_and_sees_both_signs() -> None:
    stem = Whitening()
    stem.fit(correlated_images())
    assert [name for name, p in stem.named_parameters() if p.requires_grad] == ["bias"]
    torch.testing.assert_close(stem.weight[:12], -stem.weight[12:])
    assert not stem.bias.any()


def test_macs_and_parameters_by_hand() -> None:
    # 32x32 -> 31 (2x2 patches) -> 15 -> 7 -> 3; conv1 of a block runs before its pool
    macs = 12 * 24 * 31**2 + 9 * 24 * 64 * 31**2 + 9 * 64 * 64 * 15**2
    macs += 9 * 64 * 256 * 15**2 + 2 * 9 * 256 * 256 * 7**2 + 9 * 256 * 256 * 3**2 + 2560
    assert count_macs(SpeedNet(10), 32) == macs
    kernels = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + 2560
    biases = 24 + 2 * (64 + 256 + 256)
    assert num_params(SpeedNet(10)) == kernels + biases
    assert num_params(SpeedNet(10, train_gains=True)) == kernels + biases + 2 * (64 + 256 + 256)


def test_logits_start_small() -> None:
    torch.manual_seed(0)
    assert float(SpeedNet(10).head.weight.detach().std()) == pytest.approx(1 / 256, rel=0.05)


def test_other_sizes_and_multiples() -> None:
    net = SpeedNet(7, width=4, multiples=(1, 2))
    assert net.block2.conv2.weight.shape == (8, 8, 3, 3)
    for size in (24, 32, 64):
        assert net(torch.zeros(2, 3, size, size)).shape == (2, 7)
    with pytest.raises(ValueError, match=r"got width=4, multiples=\[\]"):
        SpeedNet(7, width=4, multiples=())


def test_dirac_kernels_hand_their_input_on() -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=False)
    dirac(nn.Sequential(conv))
    x = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    y = conv(x)
    assert torch.equal(y[:, :3], x)
    assert (y[:, 3:] != 0).all()
    narrow = nn.Conv2d(5, 3, 1, bias=False)
    dirac(nn.Sequential(narrow))
    z = torch.randn(2, 5, 4, 4)
    assert torch.equal(narrow(z), z[:, :3])


def test_kaiming_kernels_have_their_variance() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3)
    kaiming(nn.Sequential(conv))
    assert float(conv.weight.detach().var()) == pytest.approx(2 / (128 * 9), rel=0.02)
