"""Reading what flows through a network, without leaving a trace in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from src.models.cost import evaluating, layer_costs


@contextmanager
def explaining(net: nn.Module) -> Iterator[None]:
    """Eval mode and gradients inside, even in a test's inference mode; the modes are restored afterwards."""
    with torch.inference_mode(False), torch.enable_grad(), evaluating(net):
        yield


def on_net(net: nn.Module, values: Tensor) -> Tensor:
    """A copy of `values` on the network's device, floats in its dtype; never an inference tensor."""
    weight = next(net.parameters())
    copy = values.detach().to(weight.device, copy=True)
    return copy.to(weight.dtype) if copy.is_floating_point() else copy


@contextmanager
def capture(net: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the maps (B, C, h, w) that the named layers return while `net.forward` runs.

    `net(…)` may be compiled, without hooks. What flows on is a copy, so that a later in-place operation does
    not change what was collected.

    Raises:
        ValueError: the network has no layer of that name, or the layer returns something else than maps.
    """
    found: dict[str, Tensor] = {}
    modules = {name: layer_named(net, name) for name in layers}

    def keep(name: str, output: object) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(
                f"layer {name} returns {type(output).__name__}, not a tensor: choose another layer."
            )
        if output.dim() != 4:
            raise ValueError(
                f"layer {name} returns {tuple(output.shape)}, not maps (B, C, h, w): "
                f"choose a layer before the pooling."
            )
        found[name] = output
        return output.clone()

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in modules.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def layer_named(net: nn.Module, name: str) -> nn.Module:
    """The layer at a dotted path such as `stage2.block1`.

    Raises:
        ValueError: there is none.
    """
    modules: dict[str, nn.Module] = dict(net.named_modules())
    if not name or name not in modules:
        near = get_close_matches(name, modules, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"{type(net).__name__} has no layer {name!r}.{hint} Its parts: "
            f"{', '.join(child for child, _ in net.named_children())}; inside them, dots: stage1.block1."
        )
    return modules[name]


def map_layers(net: nn.Module, image_size: int, count: int = 4) -> list[str]:
    """Names of the last `count` parts of a network whose output is a map of more than one pixel.

    For ResNet18 these are its four stages.
    """
    costs = layer_costs(net, image_size)
    maps = [cost.name for cost in costs if len(cost.shape) == 3 and cost.shape[1] * cost.shape[2] > 1]
    return maps[-count:]


def features(net: nn.Module, images: Tensor) -> Tensor:
    """What the network's last linear layer is given: images (B, 3, H, W) -> (B, C), detached.

    Raises:
        ValueError: the network has no linear layer.
    """
    heads = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not heads:
        raise ValueError(f"{type(net).__name__} has no linear layer whose input could be shown.")
    seen: list[Tensor] = []
    handle = heads[-1].register_forward_pre_hook(lambda _head, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad(), evaluating(net):
            net.forward(on_net(net, images))
    finally:
        handle.remove()
    return seen[0]
