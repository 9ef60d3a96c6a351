"""Evidence maps: complete, and equal to Captum's last layer."""

import pytest
import torch
from torch import Tensor, nn

from src.attribution.capture import features
from src.attribution.evidence import evidence, evidence_maps
from src.attribution.grad_cam import captum_grad_cam
from src.models.resnet9 import ResNet9
from tests.attribution.nets import NORMS, images, relative, resnet


def test_by_hand() -> None:
    # Two channels of 1x2 pixels: class 0 takes the first, class 1 twice the second less the first
    a = torch.tensor([[[[4.0, 2.0]], [[1.0, 3.0]]]])
    weight = torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
    maps = evidence_maps(a, weight)
    assert maps.tolist() == [[[[2.0, 1.0]], [[-1.0, 2.0]]]]
    logits = a.mean((2, 3)) @ weight.T
    assert torch.equal(maps.sum((2, 3)), logits)


@pytest.mark.parametrize("norm", NORMS)
def test_complete_and_equal_to_captum(norm: str) -> None:
    net = resnet(norm)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        logits, maps = evidence(net, images())
    assert net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    net.eval()
    torch.testing.assert_close(logits, net(images()).detach())
    assert maps.shape == (6, 10, 4, 4)
    missing = (maps.sum((2, 3)) - (logits - net.head.bias.detach())).abs().max()
    assert float(missing / logits.abs().max()) <= 1e-5
    for k in range(10):
        captum = captum_grad_cam(net, images(), torch.full((6,), k), ["stage4"])["stage4"]
        assert relative(maps[:, k : k + 1], captum) <= 1e-5


def test_works_on_a_compiled_network() -> None:
    net = resnet("ln")
    want = evidence(net, images()).maps
    net.compile(backend="eager")
    net(images())
    assert torch.equal(evidence(net, images()).maps, want)


def test_other_heads_are_refused_in_words() -> None:
    with pytest.raises(
        ValueError, match=r"ResNet9 does not \(it has no AdaptiveAvgPool2d\(1\)\). Grad-CAM works"
    ):
        evidence(ResNet9(10, width=8), images())

    class Between(nn.Module):
        def __init__(self, *, behind: bool) -> None:
            super().__init__()
            self.conv, self.pool, self.head = nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Linear(8, 10)
            self.behind = behind

        def forward(self, x: Tensor) -> Tensor:
            pooled = self.pool(self.conv(x)).flatten(1)
            return self.head(pooled) * 2 if self.behind else self.head(pooled.relu())

    for behind in (False, True):
        with pytest.raises(ValueError, match="something lies between or after them"):
            evidence(Between(behind=behind), images())


def test_features_are_what_the_head_is_given() -> None:
    net = resnet("bn").eval()
    found = features(net, images())
    torch.testing.assert_close(net.head(found), net(images()))
    with pytest.raises(ValueError, match="Conv2d has no linear layer"):
        features(nn.Conv2d(3, 4, 1), images())
