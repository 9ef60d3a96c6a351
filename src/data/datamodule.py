"""The one LightningDataModule: any `Source`, split, augmented and batched."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.data.datasets import Batch, EpochSampler, EvalSet, LateLoader, TrainSet, as_is
from src.data.pipeline import AnyPipeline
from src.data.source import Images, LabelledImages, Source
from src.data.split import stratified_split
from src.data.stats import Stats, cached_stats
from src.lightning_private import batches_done

Held = tuple[Images | Tensor, Tensor]  # images (N, H, W, C) uint8 and labels (N,), side by side


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
        num_workers: loading processes; the batches are the same for any number. None: as many as pay, which
            is none for images in memory with a batched pipeline, else two.
        seed: of split, order and augmentation.
        cache_dir: where the data's mean and standard deviation are kept.
        root, download, num_test, test_fraction: keys of the data group that only `source` reads.

    Raises:
        ValueError: from `setup`, if the dataset has other classes or fewer images than told.
    """

    def __init__(
        self,
        *,
        source: Callable[[], Source],
        augment: AnyPipeline,
        num_classes: int,
        image_size: int,
        num_val: int,
        batch_size: int,
        num_workers: int | None,
        seed: int,
        cache_dir: str,
        num_train: int | None = None,
        root: str | None = None,
        download: bool | None = None,
        num_test: int | None = None,
        test_fraction: float | None = None,
    ) -> None:
        super().__init__()
        self.read, self.augment, self.cache_dir = source, augment, cache_dir
        self.num_classes, self.image_size = num_classes, image_size
        self.num_train, self.num_val, self.seed = num_train, num_val, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.source: Source | None = None
        self.held: dict[tuple[int, torch.device], Held] = {}

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

    def state_dict(self) -> dict[str, Any]:
        """What a network must know to name and normalize images; kept in every checkpoint."""
        assert self.source is not None
        return {
            "class_names": list(self.source.class_names),
            "image_size": self.image_size,
            "mean": list(self.stats.mean),
            "std": list(self.stats.std),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Normalize as the checkpoint's network was trained to see images.

        Raises:
            ValueError: it was trained for other classes.
        """
        self.setup()
        assert self.source is not None
        names = list(state_dict["class_names"])
        if names != list(self.source.class_names):
            raise ValueError(
                f"the checkpoint knows the classes {shortened(names)}; the data has "
                f"{shortened(self.source.class_names)}: they must be the same, in the same order."
            )
        self.stats = Stats(tuple(state_dict["mean"]), tuple(state_dict["std"]))

    @property
    def has_val(self) -> bool:
        return len(self.val_indices) > 0

    def train_dataloader(self) -> DataLoader[Batch]:
        assert self.source is not None
        augment = self.augment.bind(self.stats)
        dataset = TrainSet(*self.hold(self.source.train), self.train_indices, augment, self.seed)
        rank, world_size = self.place()
        sampler = EpochSampler(
            len(dataset), seed=self.seed, rank=rank, world_size=world_size, done=self.num_done
        )
        return self.loader(dataset, sampler)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Validation batches; an empty list, which Lightning skips, where there are none."""
        return self.eval_loader("val") if self.has_val else []

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.eval_loader("test")

    def eval_data(self, stage: str) -> tuple[LabelledImages, np.ndarray]:
        """The images of `val` or `test`, and the positions of those that are evaluated, in their order."""
        assert self.source is not None
        if stage == "val":
            return self.val_data, self.val_indices
        return self.source.test, np.arange(len(self.source.test))

    def eval_loader(self, stage: str) -> DataLoader[Batch]:
        """Each process takes every `world_size`-th image: none is lost or counted twice.

        Raises:
            ValueError: there are too few images for every process to have one.
        """
        data, indices = self.eval_data(stage)
        rank, world_size = self.place()
        if len(indices) < world_size:  # one without images would not answer when results are gathered
            raise ValueError(
                f"{world_size} processes cannot share {len(indices)} {stage} images out: set "
                f"trainer.devices to {len(indices)} or fewer."
            )
        return self.loader(EvalSet(*self.hold(data), indices[rank::world_size], self.stats))

    def eval_inputs(self, stage: str, positions: np.ndarray) -> Tensor:
        """The images of `val` or `test` at these positions, as the network takes them: (n, 3, H, W).

        On the CPU, wherever training happens.
        """
        data, _ = self.eval_data(stage)
        return self.inputs(data, positions)

    def train_inputs(self, count: int) -> Tensor:
        """The first `count` training images, normalized but not augmented: (n, 3, H, W), on the CPU."""
        assert self.source is not None
        return self.inputs(self.source.train, self.train_indices[:count])

    def inputs(self, data: LabelledImages, positions: np.ndarray) -> Tensor:
        dataset = EvalSet(*_held_on(torch.device("cpu"), data), positions, self.stats)
        images, _ = dataset.__getitems__(range(len(positions)))
        return images

    def hold(self, data: LabelledImages) -> Held:
        """Images and labels, on the device that trains where they fit and no other process loads them."""
        device = torch.device("cpu")
        if isinstance(data.images, np.ndarray) and self.augment.batched and not self.workers(data.images):
            device = self.device if _has_room(self.device, data.images.nbytes) else device
        key = id(data), device
        if key not in self.held:
            self.held[key] = _held_on(device, data)
        return self.held[key]

    def workers(self, images: Images | Tensor) -> int:
        """Loading processes for these images."""
        if self.num_workers is not None:
            return self.num_workers
        in_memory = isinstance(images, (np.ndarray, Tensor))
        return 0 if in_memory and self.augment.batched else 2

    def loader(self, dataset: TrainSet | EvalSet, sampler: EpochSampler | None = None) -> DataLoader[Batch]:
        num_workers = self.workers(dataset.images)
        return LateLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=as_is,  # type: ignore[arg-type]  # batches come from __getitems__
            pin_memory=self.device.type == "cuda" and dataset.labels.device.type == "cpu",
            persistent_workers=num_workers > 0,
            generator=torch.Generator().manual_seed(self.seed),  # leaves the network's random numbers alone
        )

    @property
    def device(self) -> torch.device:
        """The device that this process trains on."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def num_done(self) -> int:
        """Images that this process has used in the running epoch."""
        return batches_done(self.trainer) * self.batch_size if self.trainer else 0

    def place(self) -> tuple[int, int]:
        """(rank, world size) of this process."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _held_on(device: torch.device, data: LabelledImages) -> Held:
    """Images that are in memory as a tensor on `device`, files as they are; labels beside them."""
    images: Images | Tensor = data.images
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(images).to(device)
    return images, torch.from_numpy(data.labels).to(device)


def _has_room(device: torch.device, num_bytes: int) -> bool:
    """Whether so much takes no more than a quarter of the device's free memory."""
    free = {
        "cuda": lambda: torch.cuda.mem_get_info(device)[0],
        "mps": lambda: torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory(),
    }
    return device.type in free and num_bytes <= free[device.type]() / 4


def shortened(names: Sequence[str]) -> str:
    """Up to ten names, and how many more there are."""
    return ", ".join(names[:10]) + (f", … ({len(names)} in all)" if len(names) > 10 else "")
