import pytest
import torch

from src.data.resolution import Resolution, work_done


def test_sizes_by_the_share_of_training_done() -> None:
    resize = Resolution([(16, 0.25), (24, 0.5)])
    images = torch.zeros(1, 3, 32, 32)
    sizes = [resize(images, progress).shape[-1] for progress in (0.0, 0.2499, 0.25, 0.4999, 0.5, 1.0)]
    assert sizes == [16, 16, 24, 24, 32, 32]


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    # Bilinear at half the size samples midway between two pixels in each direction
    images = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).reshape(2, 3, 16, 16).square()
    want = torch.nn.functional.avg_pool2d(images, 2)
    torch.testing.assert_close(Resolution([(8, 1.0)])(images, 0.0), want)


def test_memory_stays_channels_last() -> None:
    images = torch.zeros(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    resized = Resolution([(24, 1.0)])(images, 0.0)
    assert resized.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stages", [[(24, 0.5), (28, 0.5)], [(24, 0.0)], [(24, 1.5)], [(4, 0.5)]])
def test_what_makes_no_sense_is_told(stages: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match=r"resize.stages must be \[\[pixels, until\], …\]"):
        Resolution(stages)


def test_work_grows_with_the_number_of_pixels() -> None:
    stages = [(16, 0.5), (24, 0.75)]
    done = [work_done(stages, progress, 32) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    want = [0.0, 0.25 / 4, 0.5 / 4, 0.5 / 4 + 0.25 * 9 / 16, 0.5 / 4 + 0.25 * 9 / 16 + 0.25]
    assert done == pytest.approx(want)
    assert [work_done([], progress, 32) for progress in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]
