"""What a composition will take, from a few timed steps of its own training."""

import logging
import math
import platform
import time
from statistics import median
from typing import Any, NamedTuple

import lightning as L
import torch
from omegaconf import DictConfig
from torch import nn

from src.callbacks.evaluation import EvaluationViews, with_views
from src.config.build import build, build_named
from src.engine.machine import return_freed_memory
from src.engine.quiet import quiet
from src.estimate.probes import PeakMemory, StepTimer, peak_memory
from src.models.cost import Length, count_macs, limited, num_params, passes_pflop, training_length

EVALUATION = (3.0, 10)  # seconds and batches of validation, at most
_LOADING = (1.0, 5)  # seconds and batches of loading alone, at most
_FORWARD = 1 / 3  # of a training step
# The rest of the Trainer is the composition's. One validation batch an epoch: a schedule may wait for it.
_HELD_BACK: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "profiler": None,
    "limit_val_batches": 1,
    "check_val_every_n_epoch": 1,
}


class Pass(NamedTuple):
    """Passes over validation or test images without training: how many, batches of each, seconds a batch."""

    passes: int
    batches: int
    batch_seconds: float

    @property
    def seconds(self) -> float:
        return self.passes * self.batches * self.batch_seconds


class Phase(NamedTuple):
    """A part of training in which images keep one size."""

    share: float  # of training
    timed: list[float]  # seconds of training batches
    warm: bool  # False: there was time for the first batch alone
    passes: dict[int, float]  # image size in pixels -> forward passes for each image, see Classifier.passes


class Estimate(NamedTuple):
    """What was measured (device, batches, memory), what was counted, and what follows from both."""

    device: str
    precision: str
    num_params: int
    macs: int  # of one image
    batch_size: int
    length: Length
    pflop: float  # of training
    phases: list[Phase]
    start_seconds: float  # from nothing to the end of the first batch, without a batch's own seconds
    val: Pass
    test: Pass
    load_seconds: float  # of all training images, in the composition's number of processes, nothing else
    memory: PeakMemory

    @property
    def batch_seconds(self) -> float:
        """Mean over the whole of training."""
        return sum(phase.share * median(phase.timed) for phase in self.phases)

    @property
    def train_seconds(self) -> float:
        return self.length.batches * self.batch_seconds

    @property
    def seconds(self) -> float:
        return self.start_seconds + self.train_seconds + self.val.seconds + self.test.seconds


def estimate(cfg: DictConfig) -> Estimate:
    """Train what `cfg` names for a few steps, look at a few validation batches, and reckon the rest.

    Network, loss, optimizer, schedule, precision, clipping, accumulation, augmentation and loading are the
    composition's, in Lightning's own loop; its callbacks and loggers are left out. Only those callbacks that
    explain a test do so, for one batch: for the memory that it takes.

    Raises:
        ValueError: the composition trains nothing, never ends or cannot be built.
    """
    quiet()
    build(cfg.machine)  # threads, and whether memory is kept
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    began = time.perf_counter()
    datamodule = build(cfg.data)
    datamodule.setup()
    timer, trainer = _timed_trainer(cfg)
    overfit = cfg.trainer.overfit_batches  # stands for both limits, in Lightning
    length = training_length(
        len(datamodule.train_indices),
        cfg.data.batch_size,
        epochs=trainer.max_epochs,
        max_steps=trainer.max_steps,
        limit=overfit or cfg.trainer.limit_train_batches,
        accumulate=trainer.accumulate_grad_batches,
    )
    with peak_memory(trainer.strategy.root_device) as memory:
        module = build(cfg.module)
        resize, phases, first_end = module.resize, list[Phase](), 0.0
        for start, share in resize.phases() if resize else [(0.0, 1.0)]:
            if phases:
                timer, trainer = _timed_trainer(cfg)
            if resize:
                module.resize = lambda images, _, start=start: resize(images, start)
            module.passes.clear()
            trainer.fit(module, datamodule=datamodule)
            each_image = {size: count / timer.images for size, count in module.passes.items()}
            first_end = first_end or timer.first_end
            phases.append(Phase(share, *timer.timed(), each_image))
            memory.batches = len(timer.seconds)
    each = _evaluation_seconds(trainer, module, datamodule, timer)
    with peak_memory(trainer.strategy.root_device) as explaining:
        _explain_a_batch(cfg, module, datamodule)
    if memory.whole is not None and explaining.whole is not None:
        memory.whole = max(memory.whole, explaining.whole)
    validations = length.epochs // cfg.trainer.check_val_every_n_epoch
    return Estimate(
        device=_device_words(trainer.strategy.root_device),
        precision=str(trainer.precision),
        num_params=num_params(module.net),
        macs=count_macs(module.net, cfg.data.image_size),
        batch_size=min(cfg.data.batch_size, len(datamodule.train_indices)),
        length=length,
        pflop=sum(_phase_pflop(phase, length.images, module.net) for phase in phases),
        phases=phases,
        start_seconds=max(0.0, first_end - began - median(phases[0].timed)),
        val=Pass(validations, num_batches(datamodule, "val", overfit or cfg.trainer.limit_val_batches), each),
        test=Pass(1, num_batches(datamodule, "test", cfg.trainer.limit_test_batches), each * looks(module)),
        load_seconds=length.batches
        * _loading_seconds(datamodule)
        / max(1, datamodule.workers(datamodule.source.train.images)),
        memory=memory,
    )


def _explain_a_batch(cfg: DictConfig, module: L.LightningModule, datamodule: Any) -> None:
    """Test one batch, and let the composition's callbacks draw what they draw after a test."""
    watchers = [part for part in with_views(build_named(cfg.callbacks)) if isinstance(part, EvaluationViews)]
    if watchers:
        return_freed_memory()
        trainer = build(cfg.trainer, callbacks=watchers, **_HELD_BACK | {"limit_test_batches": 1})
        logging.disable()  # what the callbacks say of a batch is of no use
        try:
            trainer.test(module, datamodule=datamodule, verbose=False)
        finally:
            logging.disable(logging.NOTSET)


def _device_words(device: torch.device) -> str:
    """What computed: a GPU's name, or the processor and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{device.type} ({name}, {threads} thread{'s' * (threads > 1)})"


def _timed_trainer(cfg: DictConfig) -> tuple[StepTimer, Any]:
    """The composition's Trainer with a timer for its only callback."""
    timer = StepTimer(accumulate=cfg.trainer.accumulate_grad_batches, compiled=cfg.module.compile)
    return timer, build(cfg.trainer, callbacks=[timer], **_HELD_BACK)


def _phase_pflop(phase: Phase, num_images: int, net: nn.Module) -> float:
    """Compute of a phase of a training on `num_images`, in 10^15 floating-point operations."""
    macs = {size: count_macs(net, size) for size in phase.passes}
    return passes_pflop({size: each * phase.share * num_images for size, each in phase.passes.items()}, macs)


def _evaluation_seconds(
    trainer: L.Trainer, module: L.LightningModule, datamodule: Any, timer: StepTimer
) -> float:
    """Seconds of a batch through the network alone, from validation, or the test where there is none."""
    seconds, most = EVALUATION
    one = timer.evaluated[-1] if timer.evaluated else median(timer.timed()[0]) * _FORWARD
    if not timer.evaluated or one * 2 < seconds:
        timer.evaluated.clear()
        number = max(1, min(most, int(seconds / one)))
        trainer.limit_val_batches = trainer.limit_test_batches = number
        run = trainer.validate if datamodule.has_val else trainer.test
        run(module, datamodule=datamodule, verbose=False)
    each = median(timer.evaluated[1:] or timer.evaluated)  # the first one starts the workers
    return each if datamodule.has_val else each / looks(module)


def _loading_seconds(datamodule: Any) -> float:
    """Seconds in which one process reads and augments a training batch."""
    dataset = datamodule.train_dataloader().dataset
    keys = range(min(datamodule.batch_size, len(dataset)))  # of the first epoch
    seconds: list[float] = []
    while not seconds or (sum(seconds) < _LOADING[0] and len(seconds) < _LOADING[1]):
        began = time.perf_counter()
        dataset.__getitems__(keys)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def looks(module: Any) -> int:
    """How often the test shows an image to the network."""
    return module.tta.num_views if module.tta else 1


def num_batches(datamodule: Any, stage: str, limit: int | float) -> int:
    """Batches of a pass over the images of `val` or `test`."""
    _, positions = datamodule.eval_data(stage)
    return limited(math.ceil(len(positions) / datamodule.batch_size), limit)
