"""The one LightningDataModule: any `Source`, split, augmented and batched."""

from collections.abc import Callable

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from src.data.augment import Pipeline
from src.data.datasets import Batch, EpochSampler, EvalSet, TrainSet, as_is
from src.data.source import LabelledImages, Source
from src.data.split import stratified_split
from src.data.stats import cached_stats


class ImageDataModule(L.LightningDataModule):
    """Training, validation and test batches of one dataset.

    Args:
        source: reads the dataset; called once in each process.
        augment: the training images' pipeline.
        num_classes: how many classes `source` must have.
        image_size: height and width of every image, in pixels.
        num_train: how many training images `source` must have, before the split; None: any number.
        num_val: images split off the training set (stratified by `seed`) where `source` has no own
            validation images; 0: none.
        batch_size: images a step and process.
        num_workers: loading processes; the batches are the same for any number.
        seed: of split, order and augmentation.
        cache_dir: where the data's mean and standard deviation are kept.
        source_keys: keys of the data group that `source` has read already (root, download, …).

    Raises:
        ValueError: from `setup`, if the dataset has other classes or fewer images than told.
    """

    def __init__(
        self,
        *,
        source: Callable[[], Source],
        augment: Pipeline,
        num_classes: int,
        image_size: int,
        num_val: int,
        batch_size: int,
        num_workers: int,
        seed: int,
        cache_dir: str,
        num_train: int | None = None,
        **source_keys: object,
    ) -> None:
        super().__init__()
        self.read, self.augment, self.cache_dir = source, augment, cache_dir
        self.num_classes, self.image_size = num_classes, image_size
        self.num_train, self.num_val, self.seed = num_train, num_val, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.source: Source | None = None

    def prepare_data(self) -> None:
        """Download what is missing, in one process only."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Read, check, measure and split, once."""
        if self.source is not None:
            return
        source = self.read()
        if len(source.class_names) != self.num_classes:
            raise ValueError(
                f"data.num_classes={self.num_classes}, but the training data has "
                f"{len(source.class_names)} classes: set data.num_classes={len(source.class_names)}."
            )
        if self.num_train not in (None, len(source.train)):
            raise ValueError(
                f"data.num_train={self.num_train}, but the dataset has {len(source.train)} training "
                f"images: set data.num_train={len(source.train)}."
            )
        self.stats = cached_stats(source.train.images, source.fingerprint, self.cache_dir)
        num_val = 0 if source.val else self.num_val
        self.train_indices, val_indices = stratified_split(source.train.labels, num_val, seed=self.seed)
        self.val_data = source.val or source.train
        self.val_indices = np.arange(len(source.val)) if source.val else val_indices
        self.source = source

    @property
    def has_val(self) -> bool:
        return len(self.val_indices) > 0

    def train_dataloader(self) -> DataLoader[Batch]:
        assert self.source is not None
        augment = self.augment.bind(self.stats)
        dataset = TrainSet(self.source.train, self.train_indices, augment, self.seed)
        rank, world_size = self.place()
        sampler = EpochSampler(len(dataset), seed=self.seed, rank=rank, world_size=world_size)
        return self.loader(dataset, sampler)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Validation batches; an empty list, which Lightning skips, where there are none."""
        return self.eval_loader(self.val_data, self.val_indices) if self.has_val else []

    def test_dataloader(self) -> DataLoader[Batch]:
        assert self.source is not None
        return self.eval_loader(self.source.test, np.arange(len(self.source.test)))

    def eval_loader(self, data: LabelledImages, indices: np.ndarray) -> DataLoader[Batch]:
        """Each process takes every `world_size`-th image: none is lost or counted twice."""
        rank, world_size = self.place()
        dataset = EvalSet(data, indices[rank::world_size], self.stats)
        return self.loader(dataset)

    def loader(self, dataset: Dataset[Batch], sampler: EpochSampler | None = None) -> DataLoader[Batch]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=as_is,  # type: ignore[arg-type]  # batches come from __getitems__
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def place(self) -> tuple[int, int]:
        """(rank, world size) of this process."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
