"""Bad inputs of every command, and what each answers: one line, an exit code, and nothing lost.

`docs/bad_input.md` is written from here: `python -m tests.bad_inputs` (tests/test_bad_inputs.py says when it must be).

In a command, `<run>` is a finished run's folder, `<data>` a folder of pictures in class folders, `<here>` a folder that
holds both and all that `prepare` makes; `OUTPUT_DIR` is `<here>/outputs`, and no dataset is where `DATA_ROOT` points.
"""

import fcntl
import json
import pickle
import re
import shlex
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from src.runs.checkpoint_file import SUMS
from tests.commands import ROOT, Commands, Done

PAGE = ROOT / "docs" / "bad_input.md"
RUN = ["experiment=quickstart", "model.width=8", "trainer=cpu", "trainer.max_epochs=1", "logger=csv"]
RUN += ["trainer.limit_train_batches=2", "callbacks=training"]


@dataclass(frozen=True)
class Bad:
    """A command that cannot work.

    Args:
        command: what is typed after `python -m src.`.
        words: part of the line that it must answer.
        code: its exit code: 2 before anything was begun, 1 after that.
        prepare: makes what the command needs in `<here>`; may hold something until the command has ended.
        env: environment variables.
    """

    command: str
    words: str
    code: int = 2
    prepare: "Callable[[Path], object] | None" = None
    env: Mapping[str, str] = field(default_factory=dict)


# What a command may need


def checkpoint(content: bytes | Callable[[Path], object]) -> Callable[[Path], None]:
    """Put this in the place of the run's checkpoints, as a stranger's, without sums; or let a function write them."""

    def prepare(here: Path) -> None:
        (here / "run" / "checkpoints" / SUMS).unlink()
        for path in (here / "run" / "checkpoints").glob("*.ckpt"):
            path.write_bytes(content) if isinstance(content, bytes) else content(path)

    return prepare


def changed(**parts: object) -> Callable[[Path], None]:
    """Replace these parts of the run's checkpoints; None removes one."""

    def write(path: Path) -> None:
        kept = torch.load(path, weights_only=True) | parts
        torch.save({key: value for key, value in kept.items() if value is not None}, path)

    return checkpoint(write)


def flipped(here: Path) -> None:
    """Change a bit in the middle of each of the run's checkpoints."""
    for path in (here / "run" / "checkpoints").glob("*.ckpt"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no checkpoint")


def removed(*names: str) -> Callable[[Path], None]:
    """Remove these files or folders."""

    def prepare(here: Path) -> None:
        for name in names:
            shutil.rmtree(here / name) if (here / name).is_dir() else (here / name).unlink()

    return prepare


def file(name: str, content: str | bytes = "a file") -> Callable[[Path], None]:
    """Make a file of this content."""

    def prepare(here: Path) -> None:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return prepare


def folder(name: str) -> Callable[[Path], None]:
    return lambda here: (here / name).mkdir(parents=True)


@contextmanager
def locked(here: Path) -> Iterator[None]:
    """Lock the folder that the run goes to, as another process that trains there does."""
    (here / "busy").mkdir()
    with (here / "busy" / ".lock").open("a") as held:
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def cifar(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """CIFAR-10's files, none of them the official ones, with a change to the third."""

    def prepare(here: Path) -> None:
        place = here / "cifar-10-batches-py"
        place.mkdir()
        content = pickle.dumps({"data": np.zeros((5, 3072), np.uint8), "labels": [0] * 5})
        for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]:
            (place / name).write_bytes(content)
        change(place / "data_batch_3")

    return prepare


def huge_header(here: Path) -> None:
    """A PNG of some bytes that claims 50,000 x 50,000 pixels."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (here / "data" / "train" / "cats" / "1.png").write_bytes(content)


def cut(name: str) -> Callable[[Path], None]:
    return lambda here: half(here / name)


SWAPPED = {"class_names": 7, "image_size": "32", "mean": None, "std": [1.0]}
LONG = "x" * 300
ONE_EPOCH = "trainer.max_epochs=1 trainer.limit_train_batches=1"

# fmt: off
CASES: dict[str, list[Bad]] = {
    "Names": [
        Bad("train optimizer.lrr=0.1", "Did you mean optimizer.lr?"),
        Bad("train norm=lm", "Did you mean norm=ln? Valid: bn, gn, in, ln, ln2d, none."),
        Bad("train augment=seed", "augment=seed is called augment=crop_rotate_cutout here."),
        Bad("train experiment=seed_ln", "experiment=seed_ln is called experiment=resnet18_ln here."),
        Bad("train --config-dir <here> experiment=mine", "augment=seed_flip is called augment=crop_flip_cutouts here.", 1,
            prepare=file("experiment/mine.yaml", "# @package _global_\ndefaults: [{override /augment: seed_flip}]")),
        Bad("train epochs=5", "Did you mean trainer.max_epochs?"),
        Bad("train optmizer=adam", "Did you mean optimizer?"),
        Bad("train norm=null", "norm=null does not exist. Did you mean norm=none?"),
        Bad("train -sc install=fish", "completion is there for bash: -sc install=bash prints it"),
        Bad("train logger=[]", "logger=[] does not exist. Did you mean logger=none?"),
        Bad("train test=false", "test does not exist here: trainer.limit_test_batches=0 leaves the test out."),
        Bad("train debug=fdr", "debug=fdr is called debug=fast here."),
        Bad("explain run=latest images=0", "latest: there is no completed run with a checkpoint", env={"OUTPUT_DIR": "nothing"}),
        Bad("train trainer=3", "trainer=3 does not exist. Valid: auto, cpu"),
        Bad("train optimizer=", "optimizer= does not exist. Valid: adam"),
        Bad("train =5", "cannot read '=5'"),
        Bad("train ''", "cannot read ''"),
        Bad("train norm", "cannot read 'norm'"),
        Bad("train 'model.strides=[1,2'", "quote values that hold commas, equals signs or brackets"),
        Bad("train data.root=a=b", "quote values that hold commas, equals signs or brackets"),
        Bad("train --epochs 5", "--epochs is not a flag: settings are written key=value"),
        Bad("train --cfg everything", "invalid choice: 'everything'"),
        Bad("train ~callbacks.bests", "Did you mean callbacks.best?"),
        Bad("train +optimizer=adam", "Multiple values for optimizer"),
        Bad("train search=default", "it is for python -m src.tune"),
        Bad("train debug=quick", "Valid: fast, overfit, profile"),
        Bad("train hydra/launcher=slurm", "Did you mean hydra/launcher=submitit_slurm?"),
        Bad("train hydra.mode=BOTH", "expected one of [RUN, MULTIRUN]"),
        Bad("train 'optimizer.lr=${oc.env:NO_SUCH}'", "Environment variable 'NO_SUCH' not found"),
        Bad("train model._target_=os.system", "Hydra forbids callables that can run any code", 1),
        Bad("train experiment=quickstart +model.foo=1", "model.foo: src.models.resnet.ResNet takes no foo."),
        Bad("train -m optimizer=sgd,adam +optimizer.nesterof=true", "Did you mean nesterov?"),
        Bad("find_lr lo=1", "Did you mean low?"),
        Bad("find_lr --fast", "cannot read '--fast': arguments are written key=value"),
        Bad("tune trial=3", "Did you mean trials?"),
        Bad("estimate gpu_tflops=3", "gpu_tflops does not exist"),
        Bad("plot_schedule scheduler=cosin", "Did you mean scheduler=cosine?"),
        Bad("plot_schedule --steps", "cannot read '--steps': arguments are written key=value"),
        Bad("evaluate --ckpt=last", "Did you mean ckpt?"),
        Bad("evaluate", "run must be given"),
        Bad("evaluate run=", "run must be given"),
        Bad("explain run=<run> images=", "images must be given"),
        Bad("compare ouut=x", "no folder or glob is called 'ouut=x'"),
    ],
    "Types and ranges": [
        Bad("train trainer.max_epochs=ten", "must be a whole number: got 'ten'. Default: 40."),
        Bad("train trainer.max_epochs=0", "must be between 1 and 1000000: got 0"),
        Bad("train trainer.max_epochs=1e400", "must be a whole number: got inf"),
        Bad("train trainer.max_epochs=99999999999999999999", "must be at most 9223372036854775807"),
        Bad("train trainer.max_steps=0", "1 or more, or -1"),
        Bad("train optimizer.lr=nan", "must be more than 0: got nan"),
        Bad("train optimizer.lr=1e400", "optimizer.lr must be finite: got inf"),
        Bad("train optimizer.lr=-1", "must be more than 0: got -1"),
        Bad("train optimizer.lr=", "must be a number: got ''"),
        Bad("train optimizer=adam 'optimizer.betas=[0.9]'", "must be two numbers of at least 0 and less than 1"),
        Bad("train seed=-1", "must be between 0 and 4294967295"),
        Bad("train seed=4294967296", "must be between 0 and 4294967295"),
        Bad("train seed=1.5", "must be a whole number: got 1.5"),
        Bad("train data.batch_size=0", "must be 1 or more: got 0"),
        Bad("train data.num_workers=-1", "must be between 0 and 512: got -1"),
        Bad("train data.num_workers=100000", "must be between 0 and 512: got 100000"),
        Bad("train data.image_size=0", "must be between 8 and 4096: got 0"),
        Bad("train data.image_size=1000000", "must be between 8 and 4096"),
        Bad("train data.num_val=50000", "must be less than the 50000 training images"),
        Bad("train experiment=quickstart data.num_val=1436", "data.num_val must be 0, or from 10", 1),
        Bad("train model.width=99999999999999999999", "must be at most 9223372036854775807"),
        Bad("train model.strides=[1,2]", "must be equally long"),
        Bad("train norm=gn norm.num_groups=7", "Valid here: [1, 2, 4, 8, 16, 32, 64]"),
        Bad("train scheduler.pct_start=1", "must be more than 0 and less than 1"),
        Bad("train scheduler=multistep 'scheduler.milestones=[a]'", "must be whole numbers that rise"),
        Bad("train experiment=quickstart resize=progressive 'resize.stages=[[a,b,c]]'",
            "such as [[24, 0.5]]", 1),
        Bad("train loss.label_smoothing=nan", "must be between 0 and 1: got nan"),
        Bad("train callbacks.best.monitor=val/accuracy", "must be one of val/acc, val/loss"),
        Bad("train callbacks.best.monitor=test/acc", "must be one of val/acc, val/loss"),
        Bad("train callbacks.samples.num_images=-1", "must be 1 or more: got -1"),
        Bad("train trainer.limit_train_batches=1.5", "or a fraction up to 1.0: got 1.5"),
        Bad("train trainer.limit_train_batches=0", "a whole number of batches"),
        Bad("train trainer.precision=17", "must be one of auto, 32-true, bf16-mixed"),
        Bad("train experiment=quickstart trainer.max_time=soon", "Expected a string in the format DD:HH:MM:SS", 1),
        Bad("train machine.threads=1000000", "must be a whole number from 1 to 1024"),
        Bad("train task_name=", "task_name must be the name of a folder"),
        Bad("train task_name=../../elsewhere", "task_name must be the name of a folder"),
        Bad(f"train task_name={LONG}", "task_name must be the name of a folder"),
        Bad("find_lr low=0", "must be 0 < low < high: got low=0 high=10"),
        Bad("find_lr steps=nan", "must be a whole number from 20: got nan"),
        Bad("find_lr stop=nan", "stop must be above 1"),
        Bad("landscape run=<run> points=2", "must be a whole number from 3"),
        Bad("landscape run=<run> reach=1e400", "must be a number above 0: got 1e400"),
        Bad("landscape run=<run> direction=99999999999999999999", "must be a whole number from 0 to 4294967295"),
        Bad("tune trials=0", "must be a whole number from 1: got 0"),
        Bad("tune trials=ten", "must be a whole number from 1: got ten"),
        Bad("tune experiment=quickstart data.num_val=0", "data.num_val and trainer.limit_val_batches must be above 0"),
        Bad("plot_schedule trainer.max_epochs=1000000", "more than 1,000,000 steps are not drawn"),
    ],
    "Devices": [
        Bad("train experiment=quickstart trainer=gpu", "there is no such device here: trainer=auto", 1),
        Bad("train experiment=quickstart trainer.accelerator=gpu", "there is no such device here", 1),
        Bad("train trainer.accelerator=tpu", "must be one of auto, cpu, gpu, cuda, mps"),
        Bad("train trainer.devices=0", "must be 1 or more, auto, -1 (all), or a list"),
        Bad("train trainer=cpu 'trainer.devices=[0,1]'", "must be a number of processes on a CPU"),
        Bad("train trainer=cpu trainer.precision=16-mixed", "needs a GPU: a CPU has bf16-mixed"),
        Bad("train experiment=quickstart trainer.strategy=fast", "You selected an invalid strategy name", 1),
        Bad("evaluate run=<run> trainer=gpu", "there is no such device here", 1),
        Bad("find_lr experiment=quickstart trainer=gpu", "there is no such device here", 1),
        Bad("estimate experiment=quickstart trainer=gpu", "there is no such device here", 1),
        Bad("estimate trainer.devices=4", "the estimate runs one process: got trainer.devices=4"),
        Bad("tune experiment=quickstart trainer.devices=2", "a trial trains on one device"),
    ],
    "Sweeps": [
        Bad("train norm=bn,ln", "asks for several runs: add -m"),
        Bad("train -m norm=bn,lm", "Did you mean norm=ln?"),
        Bad("train -m augment=none,seed", "augment=seed is called augment=crop_rotate_cutout here."),
        Bad("train -m optimizer=sgd,adam optimizer.momentum=0.5", "optimizer.momentum does not exist"),
        Bad("train -m 'seed=range(0,5,0)'", "must not be zero"),
        Bad("train -m 'seed=glob(*)'", "sweeps over nothing"),
        Bad("train -m 'seed=range(0,1000000000)'", "more than 10000 runs"),
        Bad("train -m norm=bn,ln trainer.devices=2", "cannot start runs of several processes"),
        Bad("train -m norm=bn,ln hydra.sweep.dir=<here>/taken", "cannot be made (it is a file", prepare=file("taken")),
        Bad("train -m norm=bn,ln rerun=some", "must be one of unfinished, failed, all"),
        Bad("evaluate run=<run> norm=bn,ln", "asks for several values: give one"),
        Bad("find_lr norm=bn,ln", "asks for several runs"),
        Bad("tune norm=bn,lnn", "norm=lnn does not exist"),
        Bad("estimate norm=bn,ln", "asks for several runs"),
        Bad("plot_schedule -m 'optimizer.lr=range(1,26)'", "more than 24 combinations"),
    ],
    "Datasets": [
        Bad("train data.download=false", "not there; data.download is false", 1),
        Bad("train", "not there; the download failed", 1, file("taken"), {"DATA_ROOT": "<here>/taken"}),
        Bad("train data.download=false data.root=<here>", "data_batch_3, data_batch_4", 1,
            cifar(lambda path: path.unlink())),
        Bad("train data.download=false data.root=<here> data.num_val=10", "missing or damaged", 1, cifar(half)),
        Bad("train data=tiny_imagenet data.download=false", "Tiny ImageNet in", 1),
        Bad("train data=image_folder", "data.root must be given"),
        Bad("train data=image_folder data.root=/no/such", "no folder /no/such/train"),
        Bad("train data=image_folder data.root=<here>/taken", "no folder", prepare=file("taken")),
        Bad("train data=image_folder data.root=<data>", "no folder <data>/test", 1, removed("data/test")),
        Bad("train data=image_folder data.root=<data>", "no images in <data>/train for ['owls']", 1,
            folder("data/train/owls")),
        Bad("train data=image_folder data.root=<data>", "holds 1 class folders", prepare=removed("data/train/dogs")),
        Bad("train data=image_folder data.root=<data>", "classes that train lacks: ['owls']", 1,
            folder("data/test/owls")),
        Bad("train data=image_folder data.root=<data>", "train/cats/1.png cannot be read as an image", 1,
            file("data/train/cats/1.png", "no picture")),
        Bad("train data=image_folder data.root=<data> model.width=8", "train/cats/2.jpg cannot be read as an image", 1,
            cut("data/train/cats/2.jpg")),
        Bad("train data=image_folder data.root=<data>", "could be decompression bomb DOS attack", 1, huge_header),
        Bad(f"train data=image_folder data.root=<data> model.width=8 {ONE_EPOCH} callbacks=none logger=none",
            "test/dogs/0.png cannot be read as an image", 1, file("data/test/dogs/0.png", "no picture")),
        Bad("train experiment=quickstart data.num_classes=9", "set data.num_classes=10", 1),
        Bad("train data=squares data.num_classes=9", "must be from 2 to 6", 1),
        Bad("find_lr experiment=quickstart data.num_classes=9", "set data.num_classes=10", 1),
        Bad("evaluate run=<run> data=squares", "the checkpoint knows the classes 0, 1", 1),
        Bad("evaluate run=<run> data=image_folder data.root=/no/such", "no folder /no/such/train"),
        Bad("plot_schedule data=image_folder data.root=<data>", "add data.num_train=<images>"),
    ],
    "Checkpoints": [
        Bad("train ckpt_path=/no/such", "no checkpoint /no/such"),
        Bad("train ckpt_path=<run>", "is damaged, or no checkpoint at all", 1, checkpoint(b"")),
        Bad("train ckpt_path=<run>", "is damaged, or no checkpoint at all", 1, checkpoint(b"hello\n")),
        Bad("train ckpt_path=<run>", "is damaged, or no checkpoint at all", 1, checkpoint(half)),
        Bad("train ckpt_path=<run>", "is damaged, or no checkpoint at all", 1, checkpoint(archive)),
        Bad("train ckpt_path=<run>", "is damaged: it is not the file that was written", 1, flipped),
        Bad("train ckpt_path=<run>", "is not a checkpoint of a run", 1, checkpoint(lambda path: torch.save({"a": 1}, path))),
        Bad("train ckpt_path=<run>", "holds weights, but not where training stood", 1, changed(loops=None)),
        Bad("train ckpt_path=<run> norm=ln", "does not fit this ResNet", 1),
        Bad("train ckpt_path=<run> model.width=16", "does not fit this ResNet", 1),
        Bad("train ckpt_path=<run> data=squares", "does not fit this ResNet", 1),
        Bad("train ckpt_path=<run> trainer.max_epochs=2", "its schedule ends with epoch 1", 1),
        Bad("train ckpt_path=<run> optimizer=adam", "a training with another optimizer", 1),
        Bad("train ckpt_path=<run>", "no checkpoint <run>/checkpoints/last.ckpt", prepare=removed("run/checkpoints")),
        Bad("train ckpt_path=<run>", "overrides.yaml is damaged", prepare=file("run/.hydra/overrides.yaml", "a: [1")),
        Bad("train ckpt_path=<run>", "overrides.yaml is damaged", prepare=file("run/.hydra/overrides.yaml", "- 5")),
        Bad("evaluate run=<run>", "no best.ckpt or last.ckpt", prepare=removed("run/checkpoints")),
        Bad("evaluate run=<run>", "is damaged, or no checkpoint at all", 1, checkpoint(half)),
        Bad("evaluate run=<run>", "is damaged: it is not the file that was written", 1, flipped),
        Bad("export run=<run> format=safetensors", "is damaged: it is not the file that was written", 1, flipped),
        Bad("evaluate run=<run>", "nothing in it was run", 1, checkpoint(pickle.dumps({"state_dict": {}}))),
        Bad("evaluate run=<run>", "it has no state_dict of tensors", 1, changed(state_dict=[1])),
        Bad("evaluate run=<run>", "does not say which classes it knows", 1, changed(ImageDataModule=None)),
        Bad("evaluate run=<run>", "its classes, image size, mean or deviation make no sense", 1,
            changed(ImageDataModule=SWAPPED)),
        Bad("evaluate run=<run> norm=ln", "does not fit this ResNet", 1),
        Bad("evaluate run=<run> ckpt=first", "ckpt must be best or last: got first"),
        Bad("explain run=<run> images=0", "is damaged, or no checkpoint at all", 1, checkpoint(b"")),
        Bad("landscape run=<run>", "is damaged, or no checkpoint at all", 1, checkpoint(half)),
        Bad("landscape run=<run> to=/no/such", "no best.ckpt or last.ckpt in /no/such/checkpoints"),
        Bad("find_lr ckpt_path=<run>", "ckpt_path plays no part"),
        Bad("estimate ckpt_path=<run>", "ckpt_path plays no part"),
    ],
    "Going on and exporting": [
        Bad("train resume=/no/such", "no run was begun there"),
        Bad("train resume=<run> ckpt_path=<run>", "give one of them"),
        Bad("train resume=<run> optimizer.lr=9", "resumes the same run, but"),
        Bad("train resume=<run> norm=ln", "resumes the same run, but"),
        Bad("train -m resume=<run> seed=0,1", "a sweep (-m) resumes by itself"),
        Bad("train resume=<run>", "config.json is damaged", prepare=file("run/config.json", "{")),
        Bad("train resume=<run>", "overrides.yaml is damaged", prepare=file("run/.hydra/overrides.yaml", "a: [1")),
        Bad("train callbacks.last.every_minutes=0", "callbacks.last.every_minutes must be more than 0"),
        Bad("train callbacks.last.every_n_steps=1.5", "callbacks.last.every_n_steps must be a whole number"),
        Bad("export", "run must be given"),
        Bad("export run=<run> format=pickle", "pickle"),
        Bad("export run=<here> format=safetensors", "is no run's folder"),
    ],
    "Run folders": [
        Bad("evaluate run=<here>", "is no run's folder"),
        Bad("evaluate run=<run>", "config.yaml cannot be read", prepare=file("run/.hydra/config.yaml", "a: [1")),
        Bad("evaluate run=<run>", "config.yaml cannot be read", prepare=file("run/.hydra/config.yaml", b"\xff\xfe\x00")),
        Bad("evaluate run=<run>", "it lacks data, model or module", prepare=file("run/.hydra/config.yaml", "a: 1")),
        Bad("explain run=<run> images=/no/such.png", "no picture could be read: /no/such.png", 1),
        Bad("explain run=<run> images=<here>/nothing", "no pictures there", prepare=folder("nothing")),
        Bad("explain run=<run> images=99999", "the test set has 360 images, 0 to 359", 1),
        Bad("explain run=<run> images=0 layers=stage9", "ResNet has no layer 'stage9'", 1),
        Bad("explain run=<run> images=0 layers=head", "choose a layer before the pooling", 1),
        Bad("explain run=<run> images=0 target=dog", "target=dog is no class", 1),
        Bad("compare", "what should be compared?"),
        Bad("compare /no/such", "no folder or glob is called '/no/such'"),
        Bad("compare <data>", "no runs in <data>"),
        Bad("compare <here>/taken", "no runs in", prepare=file("taken")),
        Bad("compare <run>", "no runs in", 1, file("run/summary.json", b"\x00{")),
        Bad("compare <run> out=<here>/taken", "is a file: give a folder", prepare=file("taken")),
        Bad("tune search=nope", "Valid: default, schedule, sgd, or a .yaml file"),
        Bad("tune search=<here>/s.yaml", "while parsing a flow sequence", prepare=file("s.yaml", "a: [1")),
        Bad("tune search=<here>/s.yaml", "there is nothing to search", prepare=file("s.yaml", "")),
        Bad("tune search=<here>/s.yaml", "optimizer.lr must be choice(…), interval(…)",
            prepare=file("s.yaml", "optimizer.lr: {low: 0.1, high: 1}")),
        Bad("tune search=<here>/s.yaml", "the first number must be below the last",
            prepare=file("s.yaml", "optimizer.lr: interval(1, 0.1)")),
        Bad("tune search=<here>/s.yaml", "Did you mean optimizer.lr?",
            prepare=file("s.yaml", "optimizer.lrr: interval(0.1, 1)")),
    ],
    "Places to write to": [
        Bad("train experiment=quickstart", "taken/quickstart/runs cannot be made", 1, file("taken"), {"OUTPUT_DIR": "<here>/taken"}),
        Bad("train experiment=quickstart", "/proc/no/quickstart/runs cannot be made", 1, env={"OUTPUT_DIR": "/proc/no"}),
        Bad("train -m experiment=quickstart seed=0,1", "/proc/no/quickstart/multiruns cannot be made", env={"OUTPUT_DIR": "/proc/no"}),
        Bad("train paths.output_dir=", "paths.output_dir must name a folder"),
        Bad("train", "paths.output_dir must name a folder", env={"OUTPUT_DIR": ""}),
        Bad("train experiment=quickstart hydra.run.dir=<here>/taken", "taken: File exists", 1, file("taken")),
        Bad("train experiment=quickstart hydra.run.dir=<here>/busy", "is being trained in another process", 1, locked),
        Bad("evaluate run=<run> out=<here>/taken", "cannot be made (it is a file)", prepare=file("taken")),
        Bad("evaluate run=<run> out=/proc/no/x", "cannot be made"),
        Bad("explain run=<run> images=0 out=<here>/taken/x", "cannot be made", prepare=file("taken")),
        Bad("landscape run=<run> out=/proc/no/x", "cannot be made"),
        Bad("find_lr experiment=quickstart out=<here>/taken", "cannot be made (it is a file)", prepare=file("taken")),
        Bad("compare <run> out=/proc/no", "/proc/no cannot be made", 1),
        Bad("tune experiment=quickstart study=<here>/taken", "cannot be made", prepare=file("taken")),
        Bad("plot_schedule", "cannot be made", env={"OUTPUT_DIR": "/proc/no"}),
    ],
}
# fmt: on


@dataclass(frozen=True)
class Outcome:
    """What a command did; paths are those of its text."""

    bad: Bad
    done: Done
    line: str  # that begins with `error: `
    lost: list[str]  # files that were there before and are no more, or are others


def make_run(commands: Commands, place: Path) -> None:
    """Train the run that the commands are given copies of.

    Raises:
        RuntimeError: the command says why it has not.
    """
    done = commands.run(
        "src.train", *RUN, f"hydra.run.dir={place}", env={"OUTPUT_DIR": str(place.parent / "o")}
    )
    if done.code:
        raise RuntimeError(done.stdout + done.stderr)


def make_pictures(root: Path) -> None:
    """Two classes of pictures of noise, 24 x 24, in train and test."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cats", "dogs"):
            (root / split / name).mkdir(parents=True)
            for k, ending in enumerate(("png", "png", "jpg")):
                pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{k}.{ending}")


def outcome(bad: Bad, commands: Commands, run: Path, here: Path) -> Outcome:
    """Prepare a case in the empty folder `here`, run it, and see what it leaves."""
    if "<run>" in bad.command:
        shutil.copytree(run, here / "run")
    if "<data>" in bad.command:
        make_pictures(here / "data")
    prepared = bad.prepare(here) if bad.prepare else None
    held = prepared if isinstance(prepared, AbstractContextManager) else nullcontext()
    before = contents(here)
    names = {"<run>": str(here / "run"), "<data>": str(here / "data"), "<here>": str(here)}
    module, *args = shlex.split(bad.command)
    env = {"OUTPUT_DIR": "<here>/outputs", "DATA_ROOT": "<here>/no-data", "OMP_NUM_THREADS": "1"}
    env |= {"CUDA_VISIBLE_DEVICES": ""} | dict(bad.env)  # no device, wherever this runs
    with held:
        done = commands.run(
            f"src.{module}",
            *(replaced(arg, names) for arg in args),
            env={key: replaced(value, names) for key, value in env.items()},
        )
    after = contents(here)
    lost = [name for name, digest in before.items() if after.get(name) != digest]
    backwards = {path: name for name, path in names.items()}
    stdout, stderr = (replaced(text, backwards) for text in (done.stdout, done.stderr))
    found = [line for line in (stdout + stderr).splitlines() if line.startswith("error: ")]
    line = re.sub(r"\d{6}-\d{4}(?=[_/])", "<time>", found[-1]) if found else ""
    return Outcome(bad, Done(done.code, stdout, stderr), line, lost)


def replaced(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def contents(place: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(place)): sha256(path.read_bytes()).hexdigest() for path in files}


def page(outcomes: list[Outcome]) -> str:
    """The whole of `docs/bad_input.md`."""
    found = {id(one.bad): one for one in outcomes}
    lines = [
        "# What cannot work, and what is said",
        "",
        f"{len(outcomes)} inputs that cannot work, each as it was typed (after `python -m src.`), and its whole "
        "answer: one line, and no traceback. Exit code 2: nothing was begun. 1: something was, and what lay in the "
        "folders before is still there, byte for byte. `<run>` is a finished run's folder, `<data>` a folder of "
        "pictures, `<here>` the folder of both.",
        "",
        "Written by `python -m tests.bad_inputs`; `tests/test_bad_inputs.py` runs all of it and compares.",
        "",
        "`HYDRA_FULL_ERROR=1` shows the traceback of a mistake that no command has foreseen. Of a run that fails it "
        "lies in the run's `traceback.txt`; any option of `debug=` (or `traceback=true`) prints it, too.",
    ]
    for kind, cases in CASES.items():
        lines += ["", f"## {kind}", "", "| typed | exit code | said |", "| --- | ---: | --- |"]
        for bad in cases:
            one = found[id(bad)]
            variables = "".join(
                f"{key}={shlex.quote(value) if value else ''} " for key, value in bad.env.items()
            )
            typed = (variables + bad.command).replace(LONG, "xxx…")
            lines.append(f"| `{cell(typed)}` | {one.done.code} | {cell(one.line, code=False)} |")
    return "\n".join(lines) + "\n"


def cell(text: str, *, code: bool = True) -> str:
    """Text in a cell of a table; outside of code, what Markdown would take for its own is told not to."""
    return re.sub(r"([|])" if code else r"([|<>*_`\[\]\\~])", r"\\\1", text)


def all_outcomes(commands: Commands, place: Path) -> list[Outcome]:
    """Run all cases, each in a folder of its own."""
    make_run(commands, place / "run")
    found = []
    for number, bad in enumerate(bad for cases in CASES.values() for bad in cases):
        here = place / str(number)
        here.mkdir()
        found.append(outcome(bad, commands, place / "run", here))
    return found


def main() -> None:
    with Commands() as commands, TemporaryDirectory() as place:
        found = all_outcomes(commands, Path(place))
    PAGE.write_text(page(found), encoding="utf-8")
    print(json.dumps({"inputs": len(found), "page": str(PAGE.relative_to(ROOT))}))


if __name__ == "__main__":
    main()
