"""File formats of exported networks: what writes each, and what reads it back.

A file holds the network's weights in float32 and `facts`, texts that say how to use it. Each library is
imported where it is needed: those of ONNX are an extra.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from src.config.finished import build_foreign

if TYPE_CHECKING:
    from torch import Tensor, nn

Facts = dict[str, str]
Predict = Callable[["Tensor"], "Tensor"]  # images BCHW -> logits


class _Exported(NamedTuple):
    """What a file gives."""

    predict: Predict
    facts: Facts


@dataclass(frozen=True)
class Format:
    """One way to keep a network.

    Args:
        suffix: of its files.
        needs: packages that it takes.
        dump: (network in eval mode, images BCHW to trace it with, facts) -> the file's content, for batches
            of any size.
        load: (file, names that it may call although no file in `conf/` does) -> what is in it.
    """

    suffix: str
    needs: Sequence[str]
    dump: "Callable[[nn.Module, Tensor, Facts], bytes]"
    load: Callable[[Path, Sequence[str]], _Exported]

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]


def _to_safetensors(net: "nn.Module", _: "Tensor", facts: Facts) -> bytes:
    from safetensors.torch import save

    return save({name: t.contiguous() for name, t in net.state_dict().items()}, metadata=facts)


def from_safetensors(path: Path, allow: Sequence[str] = ()) -> _Exported:
    """A new network, built from the configuration in the file's header, with the file's weights.

    Raises:
        ConfigError: the configuration would call what no file in `conf/` does.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        facts = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    config = json.loads(facts["model"])
    net: nn.Module = build_foreign(config, allow, path).eval().requires_grad_(False)
    net.load_state_dict(tensors)
    return _Exported(net, facts)


def _to_onnx(net: "nn.Module", images: "Tensor", facts: Facts) -> bytes:
    import torch
    from torch.export import Dim, export

    traced = export(net, (images,), dynamic_shapes=({0: Dim("batch")},))
    for node in traced.graph.nodes:
        node.meta.pop("stack_trace", None)  # tells where our files lie on this machine
    program = torch.onnx.export(
        traced, dynamo=True, input_names=["images"], output_names=["logits"], verbose=False
    )
    assert program is not None
    program.model.metadata_props.update(facts)
    content: bytes = program.model_proto.SerializeToString()
    return content


def _from_onnx(path: Path, _: Sequence[str] = ()) -> _Exported:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(images: "Tensor") -> "Tensor":
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return _Exported(predict, dict(session.get_modelmeta().custom_metadata_map))


FORMATS = {
    "safetensors": Format(".safetensors", ["safetensors"], _to_safetensors, from_safetensors),
    "onnx": Format(".onnx", ["onnx", "onnxscript", "onnxruntime"], _to_onnx, _from_onnx),
}
