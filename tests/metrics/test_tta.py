import torch

from src.metrics.tta import Views

IMAGES = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))


def corner(images: torch.Tensor) -> torch.Tensor:
    """Logits that tell the views apart: the pixel at the upper left, (B, 2)."""
    return images[..., 0, 0]


def test_flip_is_the_mean_with_the_mirror_image() -> None:
    got = Views(flip=True)(corner, IMAGES, corner(IMAGES))
    torch.testing.assert_close(got, (IMAGES[..., 0, 0] + IMAGES[..., 0, 4]) / 2)


def test_shifts_weigh_as_much_as_the_image_itself() -> None:
    # Shifted down and right by one, the reflected edge shows pixel (1, 1); up and left, (1, 1) itself
    got = Views(shift=1)(corner, IMAGES, corner(IMAGES))
    torch.testing.assert_close(got, IMAGES[..., 0, 0] / 2 + IMAGES[..., 1, 1] / 2)


def test_six_views_with_flip_and_shift() -> None:
    images = IMAGES
    wide = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="reflect")
    shifted = [wide[..., :4, :5], wide[..., 2:, 2:]]
    views = [view for one in shifted for view in (one, one.flip(-1))]
    want = (corner(images) + corner(images.flip(-1))) / 4 + sum(map(corner, views)) / 8
    torch.testing.assert_close(Views(flip=True, shift=1)(corner, images, corner(images)), want)


def test_no_views_but_the_image() -> None:
    logits = corner(IMAGES)
    assert torch.equal(Views()(corner, IMAGES, logits), logits)
