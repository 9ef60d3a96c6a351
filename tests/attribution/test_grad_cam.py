"""Grad-CAM against its formula, Captum and the grad-cam package."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from src.attribution.capture import map_layers
from src.attribution.grad_cam import captum_grad_cam, grad_cam
from src.attribution.maps import heat
from src.models.resnet import ResNet
from src.models.resnet9 import ResNet9
from tests.attribution.nets import NORMS, images, relative, resnet

METHODS = pytest.mark.parametrize("method", [grad_cam, captum_grad_cam])
Method = Callable[..., dict[str, Tensor]]
STAGES = ["stage1", "stage2", "stage3", "stage4"]
TARGETS = torch.tensor([3, 1, 4, 1, 5, 9])


def by_hand(net: ResNet, inputs: Tensor, layer: str) -> Tensor:
    """Cut the network after a stage, and differentiate its second half by its own input."""
    net.eval()
    head = [*STAGES[: STAGES.index(layer) + 1]]
    x = net.stem(inputs)
    for name in head:
        x = net.get_submodule(name)(x)
    a = x.detach().requires_grad_()
    y = a.clone()
    for name in STAGES[len(head) :]:
        y = net.get_submodule(name)(y)
    logits = net.head(net.pool(y).flatten(1))
    for row, target in enumerate(TARGETS):
        logits[row, target].backward(retain_graph=True)
    assert a.grad is not None
    num_pixels = a.shape[2] * a.shape[3]
    weights = a.grad.sum(dim=(2, 3)) / num_pixels
    return torch.einsum("bc,bchw->bhw", weights, a.detach()).unsqueeze(1)


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_formula_and_captum_in_every_stage(norm: str) -> None:
    net = resnet(norm)
    maps = grad_cam(net, images(), TARGETS, STAGES)
    captum = captum_grad_cam(net, images(), TARGETS, STAGES)
    assert [tuple(maps[s].shape) for s in STAGES] == [
        (6, 1, 32, 32),
        (6, 1, 16, 16),
        (6, 1, 8, 8),
        (6, 1, 4, 4),
    ]
    for stage in STAGES:
        assert relative(maps[stage], by_hand(net, images(), stage)) <= 1e-5  # float32, another order of sums
        assert relative(maps[stage], captum[stage]) <= 1e-6
        assert not maps[stage].requires_grad


def test_equals_the_formula_in_double_precision() -> None:
    net = resnet("gn", dtype=torch.float64)
    inputs = images(dtype=torch.float64)
    for stage, got in grad_cam(net, inputs, TARGETS, STAGES).items():
        assert relative(got, by_hand(net, inputs, stage)) <= 1e-12


@pytest.mark.parametrize("layer", ["stage4", "stage2", "stage3.block1"])
@pytest.mark.parametrize("norm", NORMS)
def test_agrees_with_the_grad_cam_package(norm: str, layer: str) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = resnet(norm).eval()
    with GradCAM(model=net, target_layers=[net.get_submodule(layer)]) as method:
        theirs = method(images(), targets=[ClassifierOutputTarget(int(k)) for k in TARGETS])
    raw = grad_cam(net, images(), TARGETS, [layer])[layer]
    ours = heat(raw, (32, 32))[:, 0]
    assert float((ours - torch.from_numpy(theirs)).abs().max()) <= 1e-5


@pytest.mark.parametrize("norm", NORMS)
@METHODS
def test_leaves_no_trace(norm: str, method: Method) -> None:
    net = resnet(norm)
    net.train()
    net.stage2.eval()  # a mixture, to be found again
    modes = {name: module.training for name, module in net.named_modules()}
    state = {name: value.clone() for name, value in net.state_dict().items()}
    net.head.weight.grad = torch.ones_like(net.head.weight)

    method(net, images(), TARGETS, STAGES)

    assert {name: module.training for name, module in net.named_modules()} == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for name, p in net.named_parameters() if name != "head.weight")
    assert torch.equal(net.head.weight.grad, torch.ones_like(net.head.weight))
    assert not any(module._forward_hooks for module in net.modules())


@METHODS
def test_works_in_a_test_pass_on_a_frozen_and_on_a_compiled_network(method: Method) -> None:
    net = resnet("bn").eval()
    want = method(net, images(), TARGETS, STAGES)
    with torch.inference_mode():
        inputs, targets = images(), TARGETS.clone()  # inference tensors
        in_test = method(net, inputs, targets, STAGES)
    net.requires_grad_(False)
    frozen = method(net, images(), TARGETS, STAGES)
    net.requires_grad_(True)
    net.compile(backend="eager")
    net(images())  # compiles: from now on a call runs the compiled graph
    compiled = method(net, images(), TARGETS, STAGES)
    for maps in (in_test, frozen, compiled):
        assert all(torch.equal(maps[stage], want[stage]) for stage in STAGES)


@METHODS
def test_a_layer_before_an_in_place_operation_keeps_its_own_output(method: Method) -> None:
    # norm1 is followed by an in-place ReLU: its own output is negative in places, the ReLU's is not
    net = resnet("ln")
    maps = method(net, images(), TARGETS, ["stage2.block1.norm1"])["stage2.block1.norm1"]
    net.eval()
    block = net.stage2.block1
    x = net.stage1(net.stem(images()))
    a = block.norm1(block.conv1(x)).detach().requires_grad_()
    y = F.relu(block.norm2(block.conv2(F.relu(a))) + block.shortcut(x))
    y = net.stage4(net.stage3(net.stage2.block2(y)))
    logits = net.head(net.pool(y).flatten(1))
    (gradient,) = torch.autograd.grad(logits.gather(1, TARGETS[:, None]).sum(), a)
    want = (gradient.mean((2, 3), keepdim=True) * a.detach()).sum(1, keepdim=True)
    assert relative(maps, want) <= 1e-5


def test_four_layers_cost_at_most_two_forward_passes() -> None:
    net = ResNet(10, width=16, strides=[1, 1, 2, 2])  # the default strides
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        net.eval()(images())
    with FlopCounterMode(display=False) as one_pass:
        grad_cam(net, images(), TARGETS, STAGES)
    with FlopCounterMode(display=False) as captum:
        captum_grad_cam(net, images(), TARGETS, STAGES)
    assert one_pass.get_total_flops() / forward.get_total_flops() <= 2.0
    assert captum.get_total_flops() / forward.get_total_flops() > 5


def test_default_layers_are_the_last_four_with_maps() -> None:
    assert map_layers(resnet("bn"), 32) == STAGES
    assert map_layers(ResNet9(10, width=8), 32) == ["pair1", "layer2", "layer3", "pair3"]
    assert map_layers(resnet("bn"), 8) == ["stem", "stage1", "stage2", "stage3"]  # stage4 is one pixel


@METHODS
def test_layers_that_cannot_be_shown_are_named(method: Method) -> None:
    net = resnet("bn")
    with pytest.raises(ValueError, match="ResNet has no layer 'stage5'. Did you mean stage"):
        method(net, images(), TARGETS, ["stage5"])
    with pytest.raises(ValueError, match=r"layer head returns \(6, 10\), not maps"):
        method(net, images(), TARGETS, ["head"])

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair, self.head = Pair(), nn.Linear(3, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.pair(x)[0].mean((2, 3)))

    with pytest.raises(ValueError, match="layer pair returns tuple, not a tensor"):
        method(Net(), images(), TARGETS, ["pair"])
