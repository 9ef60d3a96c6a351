import torch
from torch import nn

from src.optim.param_groups import l1_norm, param_groups


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_one_group_decays_everything() -> None:
    (group,) = param_groups(net(), decay_norm_and_bias=True)
    assert len(group["params"]) == 6
    assert "weight_decay" not in group


def test_norms_and_biases_can_be_spared() -> None:
    decayed, spared = param_groups(net(), decay_norm_and_bias=False)
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert [p.ndim for p in spared["params"]] == [1, 1, 1, 1]
    optimizer = torch.optim.SGD([decayed, spared], lr=0.1, weight_decay=0.5)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]


def test_l1_norm_is_the_sum_of_absolute_values() -> None:
    assert float(l1_norm([torch.tensor([3.0, -4.0]), torch.tensor([[-0.5]])])) == 7.5
