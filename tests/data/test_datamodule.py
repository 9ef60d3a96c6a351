"""Batches: what is in them, and that they repeat."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.config.build import build
from src.data.datamodule import ImageDataModule
from src.data.datasets import EPOCH, EpochSampler
from src.notebook import compose


def module_of(*overrides: str) -> ImageDataModule:
    datamodule: ImageDataModule = build(compose(*overrides).cfg.data)
    datamodule.setup()
    return datamodule


def epoch_of(datamodule: ImageDataModule, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    loader: Any = datamodule.train_dataloader()
    loader.sampler.set_epoch(epoch)
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_batches_repeat_for_any_number_of_workers_and_change_with_epoch_and_seed() -> None:
    digits = ("data=digits", "augment=crop_rotate_cutout", "data.batch_size=500")
    images, labels = epoch_of(module_of(*digits), epoch=3)
    assert images.shape == (1257, 3, 32, 32)
    for workers in (1, 2):
        again, labels_again = epoch_of(module_of(*digits, f"data.num_workers={workers}"), epoch=3)
        assert torch.equal(images, again)
        assert torch.equal(labels, labels_again)
    assert not torch.equal(labels, epoch_of(module_of(*digits), epoch=4)[1])
    assert not torch.equal(labels, epoch_of(module_of(*digits, "seed=1"), epoch=3)[1])


def test_persistent_workers_see_every_epoch() -> None:
    datamodule = module_of(
        "data=digits", "augment=crop_rotate_cutout", "data.num_workers=1", "data.batch_size=1000"
    )
    loader: Any = datamodule.train_dataloader()
    sums = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        sums.append(sum(float(images.double().sum()) for images, _ in loader))
    assert sums[0] == sums[2] != sums[1]


def test_batches_are_channels_last_and_normalized() -> None:
    datamodule = module_of("data=digits", "augment=none")
    images, _ = next(iter(datamodule.train_dataloader()))
    assert images.is_contiguous(memory_format=torch.channels_last)
    everything = epoch_of(module_of("data=digits", "augment=none", "data.num_val=0"), 0)[0].double()
    torch.testing.assert_close(everything.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(everything.std((0, 2, 3)), torch.ones(3).double(), atol=1e-3, rtol=0)


def test_validation_is_held_out_and_never_augmented() -> None:
    datamodule = module_of(
        "data=digits", "augment=crop_rotate_cutout", "data.num_val=200", "data.batch_size=200"
    )
    assert set(datamodule.train_indices).isdisjoint(datamodule.val_indices)
    assert len(datamodule.train_indices) + len(datamodule.val_indices) == 1437
    loader: Any = datamodule.val_dataloader()
    images, labels = next(iter(loader))
    source = datamodule.source
    assert source is not None
    raw = np.stack([source.train.images[int(i)] for i in datamodule.val_indices]) / 255
    want = (raw - np.array(datamodule.stats.mean)) / np.array(datamodule.stats.std)
    np.testing.assert_allclose(images.permute(0, 2, 3, 1).numpy(), want, atol=1e-5)
    np.testing.assert_array_equal(labels.numpy(), source.train.labels[datamodule.val_indices])


def test_no_validation_trains_on_all() -> None:
    datamodule = module_of("data=digits", "data.num_val=0")
    assert datamodule.val_dataloader() == []
    assert not datamodule.has_val
    assert len(datamodule.train_indices) == 1437


def test_wrong_numbers_are_told(fake_cifar: Path) -> None:
    with pytest.raises(
        ValueError, match=r"data.num_train=50000, but the dataset has 400 .*: set data.num_train=400"
    ):
        module_of("data=cifar10", f"data.root='{fake_cifar}'")
    with pytest.raises(ValueError, match=r"data.num_classes=7, .* has 10 classes: set data.num_classes=10"):
        module_of("data=cifar10", f"data.root='{fake_cifar}'", "data.num_classes=7")


@pytest.mark.parametrize(("length", "world_size"), [(10, 1), (10, 3), (12, 4), (2, 3)])
def test_sampler_shares_an_epoch_between_processes(length: int, world_size: int) -> None:
    shares = []
    for rank in range(world_size):
        sampler = EpochSampler(length, seed=0, rank=rank, world_size=world_size)
        sampler.set_epoch(5)
        shares.append(list(sampler))
    assert {len(share) for share in shares} == {-(-length // world_size)}
    assert {divmod(key, EPOCH) for share in shares for key in share} == {(5, i) for i in range(length)}


def test_evaluation_is_shared_out_without_a_remainder(monkeypatch: pytest.MonkeyPatch) -> None:
    datamodule = module_of("data=digits")
    shares = []
    for rank in range(7):
        monkeypatch.setattr(datamodule, "place", lambda rank=rank: (rank, 7))
        shares.append(datamodule.test_dataloader().dataset.indices)  # type: ignore[attr-defined]
    assert [len(share) for share in shares] == [52, 52, 52, 51, 51, 51, 51]  # 360 = 7 * 51 + 3
    assert sorted(np.concatenate(shares)) == list(range(360))
    monkeypatch.setattr(datamodule, "place", lambda: (0, 361))
    with pytest.raises(ValueError, match="361 processes cannot share 360 test images out"):
        datamodule.test_dataloader()


def test_loading_processes_where_they_pay(fake_cifar: Path, fake_folder: Path) -> None:
    memory = ("data=cifar10", f"data.root='{fake_cifar}'", "data.num_train=400", "data.num_val=40")
    files = ("data=image_folder", f"data.root='{fake_folder}'", "data.image_size=32")
    for overrides, want in (
        ((*memory, "augment=standard"), 0),
        ((*memory, "augment=albumentations_standard"), 2),
        ((*memory, "augment=standard", "data.num_workers=1"), 1),
        ((*files, "augment=standard"), 2),
        ((*files, "augment=standard", "data.num_workers=0"), 0),
    ):
        datamodule = module_of(*overrides)
        loaders: list[Any] = [datamodule.train_dataloader(), datamodule.test_dataloader()]
        assert [loader.num_workers for loader in loaders] == [want] * 2, overrides
