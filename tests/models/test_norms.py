import pytest
import torch

from src.config.build import build
from src.models.norms import LayerNorm2d, group_norm
from src.notebook import compose


def picture() -> torch.Tensor:
    """Unequal axes, so that a swapped permute fails."""
    return torch.randn(2, 6, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def standardized(x: torch.Tensor, dim: tuple[int, ...], eps: float) -> torch.Tensor:
    centred = x - x.mean(dim=dim, keepdim=True)
    return centred / (centred.square().mean(dim=dim, keepdim=True) + eps).sqrt()


def test_layer_norm_2d_matches_its_formula() -> None:
    want = standardized(picture(), (1,), eps=0.5)
    torch.testing.assert_close(LayerNorm2d(6, eps=0.5).double()(picture()), want)


@pytest.mark.parametrize(
    ("norm", "dim"), [("bn", (0, 2, 3)), ("ln", (1, 2, 3)), ("ln2d", (1,)), ("in", (2, 3))]
)
def test_options_normalize_over_their_axes(norm: str, dim: tuple[int, ...]) -> None:
    layer = build(compose(f"norm={norm}").cfg.norm)(6).double()
    torch.testing.assert_close(layer(picture()), standardized(picture(), dim, layer.eps))


def test_group_norm_matches_its_formula() -> None:
    x = picture()
    want = standardized(x.view(2, 3, 2, 4, 5), (2, 3, 4), eps=0.5).view_as(x)
    torch.testing.assert_close(group_norm(6, num_groups=3, eps=0.5).double()(x), want)


def test_scale_and_shift_are_per_channel() -> None:
    for norm in ("bn", "ln", "gn", "ln2d", "in"):
        layer = build(compose(f"norm={norm}").cfg.norm)(16)
        assert sorted(tuple(p.shape) for p in layer.parameters()) == [(16,), (16,)], norm


def test_groups_that_do_not_divide_name_those_that_do() -> None:
    with pytest.raises(
        ValueError, match=r"got num_groups=5, num_channels=12. Valid here: \[1, 2, 3, 4, 6, 12\]"
    ):
        group_norm(12, num_groups=5)
