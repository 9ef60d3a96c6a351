import subprocess
import sys

import pytest
import torch
from torch import nn

from src.config.build import build
from src.models.cost import count_macs, layer_costs, num_params
from src.models.resnet import BasicBlock, Pointwise, ResNet
from src.models.resnet9 import ResNet9
from src.notebook import compose


@pytest.mark.parametrize("norm", ["bn", "ln", "gn", "ln2d", "in"])
def test_resnet18_has_the_seeds_parameters_for_every_norm(norm: str) -> None:
    assert num_params(build(compose(f"norm={norm}").cfg.model)) == 11_173_962


@pytest.mark.parametrize(("strides", "macs"), [((1, 1, 2, 2), 1_763_382_272), ((1, 2, 2, 2), 555_422_720)])
def test_resnet18_macs(strides: tuple[int, ...], macs: int) -> None:
    net = ResNet(10, strides=strides)
    assert count_macs(net, 32) == macs
    assert sum(cost.num_params for cost in layer_costs(net, 32)) == num_params(net)


def test_macs_of_one_layer_by_hand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(5 * 4 * 4, 2))
    assert [cost.macs for cost in layer_costs(net, 8)] == [4 * 4 * 9 * 3 * 5, 0, 80 * 2]
    assert layer_costs(net, 8)[0].shape == (5, 4, 4)


def test_counting_leaves_modes_and_statistics_alone() -> None:
    net = ResNet(10, width=8)
    net.stage1.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    count_macs(net, 32)
    assert net.training
    assert not net.stage1.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_one_wire_takes_the_norm_to_every_place() -> None:
    for model in ("resnet18", "resnet9"):
        net = build(compose(f"model={model}", "norm=gn", "model.width=16").cfg.model)
        kinds = [type(m) for m in net.modules() if "Norm" in type(m).__name__]
        assert set(kinds) == {nn.GroupNorm}
        assert len(kinds) == (
            20 if model == "resnet18" else 8
        )  # stem 1, blocks 16, shortcuts 3; resnet9 8 convs


def test_map_sizes_and_names() -> None:
    net = ResNet(10, width=8)
    sizes = {cost.name: cost.shape for cost in layer_costs(net, 32)}
    assert [sizes[f"stage{k}"][1] for k in (1, 2, 3, 4)] == [32, 32, 16, 8]
    assert isinstance(net.get_submodule("stage2.block1.conv2"), nn.Conv2d)
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 10)


def test_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = BasicBlock(4, 4, 1, nn.Identity)
    x = torch.randn(2, 4, 6, 5)
    inner = torch.relu(nn.functional.conv2d(x, block.conv1.weight, padding=1))
    want = torch.relu(nn.functional.conv2d(inner, block.conv2.weight, padding=1) + x)
    torch.testing.assert_close(block(x), want)


def test_resnet9_shape_and_parameters() -> None:
    # 9 * (3*64 + 64*128 + 2*128*128 + 128*256 + 256*512 + 2*512*512) + norms 2*(64+3*128+256+3*512) + 512*10
    assert num_params(ResNet9(10)) == 6_573_120
    assert ResNet9(10).head.bias is None
    for size in (32, 64):
        assert ResNet9(7, width=8)(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_sizes_that_cannot_be_are_told() -> None:
    with pytest.raises(ValueError, match="must be equally long"):
        ResNet(10, strides=(1, 2))
    with pytest.raises(ValueError, match="must be 1 or more: got width=0"):
        ResNet(10, width=0)
    with pytest.raises(ValueError, match="width must be 1 or more: got 0"):
        ResNet9(10, width=0)


@pytest.mark.parametrize("size", [(8, 8), (7, 5)])
def test_a_pointwise_convolution_is_the_strided_one(size: tuple[int, int]) -> None:
    own, torchs = Pointwise(3, 5, 2), nn.Conv2d(3, 5, 1, 2, bias=False)
    own.load_state_dict(torchs.state_dict())
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outputs = [own(inputs[0]), torchs(inputs[1])]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(own.weight.grad, torchs.weight.grad)


@pytest.mark.slow
def test_a_narrow_network_survives_a_smaller_last_batch() -> None:
    # torch's own strided 1x1 convolution crashes here, from two threads on; so in a process of its own
    steps = """
import torch
from src.models.resnet import ResNet
torch.set_num_threads(2)
net = ResNet(10, width=8, strides=[2, 2, 2, 2]).to(memory_format=torch.channels_last)
for size in [64] * 5 + [41] + [64] * 20:
    net(torch.randn(size, 3, 32, 32).to(memory_format=torch.channels_last)).square().mean().backward()
"""
    assert subprocess.run([sys.executable, "-c", steps], check=False).returncode == 0
