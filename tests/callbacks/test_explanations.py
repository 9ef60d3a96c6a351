"""What a run leaves of its mistakes, in TensorBoard and on disk, checked pixel by pixel."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)
from torch import nn

from src.attribution.capture import features
from src.attribution.grad_cam import captum_grad_cam
from src.attribution.maps import heat, heat_overlay, signed, signed_overlay
from src.callbacks.average import WeightAverage
from src.callbacks.calibration import Calibration
from src.callbacks.confusion import Confusion
from src.callbacks.epoch_line import EpochLine
from src.callbacks.evaluation import Evaluation, EvaluationViews, View, evaluation, with_views
from src.callbacks.evidence import Evidence
from src.callbacks.grad_cam import GradCam
from src.callbacks.guards import Guards
from src.callbacks.hparams import HparamsTab
from src.callbacks.misclassified import Misclassified
from src.callbacks.order import in_order
from src.callbacks.predictions import PredictionsFile
from src.callbacks.projector import Projector
from src.callbacks.recorder import Recorder
from src.callbacks.update_monitor import UpdateMonitor
from src.data.cifar import unpickled
from src.drawing.charts import as_image, confusion_figure
from src.drawing.sheet import FONT_SIZE, GAP, TILE, tile
from src.engine.loggers import Board, log_picture
from src.metrics.triage import Triage
from src.models.resnet9 import ResNet9
from src.notebook import load_run
from src.runs.summary import read_summary

NUM_TEST = 100
CAPTION = 2 * round(FONT_SIZE * 1.25)  # pixels, two lines
PAGE_GAP = 14


def events(run_dir: Path) -> EventAccumulator:
    found = EventAccumulator(str(run_dir), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE)
    found.Reload()
    return found


def picture(found: EventAccumulator, tag: str) -> np.ndarray:
    (event,) = found.Images(tag)
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))


@pytest.fixture
def run_dir(fake_cifar: Path, run_tiny: Callable[..., Path]) -> Path:
    overrides = ["data.num_train=400", "data.num_val=40", "model.width=8", "trainer.max_epochs=2"]
    overrides += ["callbacks.projector.num_images=30", "callbacks.misclassified.every_n_epochs=2"]
    overrides += ["callbacks.grad_cam.every_n_epochs=2", "callbacks.evidence.every_n_epochs=2"]
    overrides += ["callbacks.grad_cam.num_in_png=2"]
    return run_tiny(*overrides, "trainer.limit_train_batches=20", f"data.root='{fake_cifar}'")


def raw_test_images(root: Path) -> np.ndarray:
    """The test images as the file has them, (N, 32, 32, 3)."""
    content = unpickled("test_batch", (root / "cifar-10-batches-py" / "test_batch").read_bytes())
    return content["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def test_a_run_shows_its_mistakes(run_dir: Path, fake_cifar: Path) -> None:
    with (run_dir / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(NUM_TEST))
    assert [int(row["label"]) for row in rows] == [k % 10 for k in range(NUM_TEST)]
    facts = read_summary(run_dir)
    right = sum(row["label"] == row["prediction"] for row in rows)
    assert right == round(facts["test/acc"] * NUM_TEST)
    assert sum(float(row["loss"]) for row in rows) / NUM_TEST == pytest.approx(facts["test/loss"], abs=1e-4)
    assert 0 <= facts["test/ece"] <= 1

    wrong = [row for row in rows if row["label"] != row["prediction"]]
    wrong.sort(key=lambda row: -float(row["confidence"]))
    assert len(wrong) > 25
    raw, found = raw_test_images(fake_cifar), events(run_dir)
    the_confusion_matrix_is_that_of_the_file(found, rows)
    the_most_confident_mistakes_are_shown(found, run_dir, raw, wrong)
    net, normalized = network_and_normalization(run_dir)
    first = raw[int(wrong[0]["index"])]
    the_maps_are_captums(found, net, normalized(first), first, wrong[0])
    everything_is_there(found, run_dir)
    the_projector_has_the_heads_inputs(run_dir, features(net, torch.cat([normalized(x) for x in raw[:30]])))


def the_confusion_matrix_is_that_of_the_file(found: EventAccumulator, rows: list[dict[str, str]]) -> None:
    matrix = np.zeros((10, 10), dtype=int)
    for row in rows:
        matrix[int(row["label"]), int(row["prediction"])] += 1
    names = [f"class{k}" for k in range(10)]
    want = np.asarray(as_image(confusion_figure(matrix, names)))
    np.testing.assert_array_equal(picture(found, "test/confusion"), want)


def the_most_confident_mistakes_are_shown(
    found: EventAccumulator, run_dir: Path, raw: np.ndarray, wrong: list[dict[str, str]]
) -> None:
    """Each tile holds the file's own pixels, four times as large; equal confidences may come in any order."""
    sheet = picture(found, "test/misclassified")
    np.testing.assert_array_equal(sheet, np.asarray(Image.open(run_dir / "misclassified.png")))
    for k, row in enumerate(wrong[:25]):
        y, x = GAP + k // 5 * (TILE + CAPTION + GAP), GAP + k % 5 * (TILE + GAP)
        shown = sheet[y : y + TILE : 4, x : x + TILE : 4]
        equal = [int(other["index"]) for other in wrong if other["confidence"] == row["confidence"]]
        assert any((shown == raw[index]).all() for index in equal)


def network_and_normalization(run_dir: Path) -> tuple[nn.Module, Callable[[np.ndarray], torch.Tensor]]:
    """The run's network with its best weights, and how it sees a picture."""
    net, _, mean, std = load_run(run_dir)
    return net, lambda pixels: ((as_picture(pixels) - mean) / std)[None]


def as_picture(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255


def the_maps_are_captums(
    found: EventAccumulator, net: nn.Module, inputs: torch.Tensor, pixels: np.ndarray, row: dict[str, str]
) -> None:
    """Grad-CAM and evidence of the first mistake, computed by Captum, for predicted and actual class."""
    large = as_picture(np.array(tile(pixels)))
    targets = [int(row["prediction"]), int(row["label"])]
    maps = [captum_grad_cam(net, inputs, torch.tensor([k]), ["stage1", "stage4"]) for k in targets]
    page = picture(found, "test/grad_cam/1")
    for n, of_class in enumerate(maps):
        for column, layer in ((1, "stage1"), (4, "stage4")):
            if not (of_class[layer] > 0).any():
                continue  # a note is written across it
            y, x = PAGE_GAP + n * (TILE + CAPTION + GAP), PAGE_GAP + column * (TILE + GAP)
            want = tile(heat_overlay(large, heat(of_class[layer], (TILE, TILE))[0, 0]))
            np.testing.assert_allclose(page[y : y + TILE, x : x + TILE], np.asarray(want, float), atol=2)
    page = picture(found, "test/evidence/1")
    predicted, actual = (of_class["stage4"][0, 0] for of_class in maps)
    three = torch.stack([predicted, actual, predicted - actual])
    for column, one in enumerate(signed(three[None], (TILE, TILE))[0], start=1):
        x = PAGE_GAP + column * (TILE + GAP)
        want = np.asarray(tile(signed_overlay(large, one)), float)
        np.testing.assert_allclose(page[PAGE_GAP : PAGE_GAP + TILE, x : x + TILE], want, atol=2)


def everything_is_there(found: EventAccumulator, run_dir: Path) -> None:
    """Pages of five and all else that the guide promises, at Lightning's steps."""
    tags = found.Tags()
    for name in ("grad_cam", "evidence"):
        assert {f"test/{name}/{page}" for page in range(1, 6)} <= set(tags["images"])
        # Five blocks below each other on a page; on the slide two beside each other, or six in three rows
        block = (picture(found, f"test/{name}/1").shape[0] - 6 * PAGE_GAP) / 5
        with Image.open(run_dir / f"{name}.png") as slide:
            num_rows = {"grad_cam": 1, "evidence": 3}[name]
            assert slide.height == num_rows * block + (num_rows + 1) * PAGE_GAP
    texts = {tag.removesuffix("/text_summary") for tag in tags["tensors"]}
    assert {"guide", "model", "test/confused_pairs", "test/per_class"} <= texts
    assert {f"test_pr/class{k}" for k in range(10)} <= texts
    assert "custom_scalars__config__" in texts
    # After the second of two epochs, 40 steps, where Lightning writes that epoch's numbers
    assert [event.step for event in found.Images("val/misclassified")] == [39]
    assert {tag for tag in tags["images"] if tag.startswith("val/")} == {
        *("val/misclassified", "val/grad_cam/1", "val/evidence/1")
    }
    assert [event.step for event in found.Scalars("val/acc")][-1] == 39
    assert [event.step for event in found.Images("test/misclassified")] == [40]
    assert [event.step for event in found.Scalars("test/acc")] == [40]


def the_projector_has_the_heads_inputs(run_dir: Path, want: torch.Tensor) -> None:
    (folder,) = [path.parent for path in run_dir.rglob("tensors.tsv")]
    vectors = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    np.testing.assert_allclose(vectors, want, atol=1e-4)
    metadata = (folder / "metadata.tsv").read_text().splitlines()
    assert metadata[0] == "actual\tpredicted\tverdict\tindex"
    assert [line.split("\t")[0] for line in metadata[1:]] == [f"class{k % 10}" for k in range(30)]


def test_callbacks_are_removed_by_name(run_tiny: Callable[..., Path]) -> None:
    names = ["misclassified", "grad_cam", "evidence", "confusion", "calibration", "projector", "predictions"]
    run_dir = run_tiny(
        *("data=digits", "model.width=8", "trainer.max_epochs=1", "trainer.limit_train_batches=1"),
        *(f"~callbacks.{name}" for name in [*names, "guide", "updates"]),
    )
    tags = events(run_dir).Tags()
    assert tags["images"] == ["train/images"]
    assert [tag for tag in tags["tensors"] if "test" in tag] == []
    assert sorted(path.name for path in run_dir.glob("*.png")) == ["curves.png", "samples.png"]


def test_a_wrong_layer_is_told_before_training(run_tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(Exception, match="ResNet has no layer 'stage9'. Did you mean stage"):
        run_tiny("data=digits", "model.width=8", "callbacks.grad_cam.layers=[stage9]")
    (summary,) = tmp_path.rglob("summary.json")
    assert "epochs" not in read_summary(summary.parent)


FEW = ["data=digits", "model.width=8", "trainer.max_epochs=1", "trainer.limit_train_batches=1"]
FEW += ["callbacks.grad_cam.num_images=3", "callbacks.grad_cam.layers=[stage2.block1,stem]"]


@pytest.mark.slow
def test_tensorboard_shows_what_captum_computes_and_one_pass_the_same(
    run_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import captum.attr

    class UpsideDown(captum.attr.LayerGradCam):  # type: ignore[misc]
        def attribute(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            return -super().attribute(*args, **kwargs)

    def shown(*how: str) -> np.ndarray:
        return picture(events(run_tiny(*FEW, *how)), "test/grad_cam/1").astype(float)

    captums, one_pass = shown(), shown("callbacks=one_pass")
    assert np.abs(captums - one_pass).max() <= 2
    monkeypatch.setattr(captum.attr, "LayerGradCam", UpsideDown)
    assert np.abs(captums - shown()).max() > 100


def a_pass(labels: np.ndarray, logits: np.ndarray, net: nn.Module, **rest: Any) -> Evaluation:
    """A test of random images that goes nowhere; `rest` says otherwise."""
    images = torch.rand(len(labels), 3, 32, 32)
    fields: dict[str, Any] = {
        "stage": "test",
        "class_names": ["ant", "bee", "cow"],
        "image_size": 32,
        "inputs_at": lambda at: images[at],
        "pixels_at": lambda index: (images[index].permute(1, 2, 0) * 255).byte().numpy(),
        "step": 7,
        "writers": [],
        "show_picture": lambda *_: None,
        "log_number": lambda *_: None,
    }
    return Evaluation(np.arange(len(labels)), labels, logits, net=net, **fields | rest)


def test_grad_cam_holds_the_graph_of_one_page_at_a_time() -> None:
    sizes: list[int] = []

    def method(net: nn.Module, images: torch.Tensor, *args: Any) -> dict[str, torch.Tensor]:
        sizes.append(len(images))
        return captum_grad_cam(net, images, *args)

    seen = a_pass(np.zeros(12, int), np.tile([0.0, 1, 2], (12, 1)), ResNet9(3, width=4))
    GradCam(folder=".", num_images=12, method=method).blocks(seen, np.arange(12))
    assert sizes == [10, 10, 4]  # both classes of five mistakes, five, two


CASES = {
    "no mistakes": (np.array([0, 1, 2]), np.eye(3) * 5),
    "one class only": (np.array([1, 1, 1, 1]), np.array([[2.0, 1, 0], [0, 2, 1], [0, 1, 2], [3, 0, 0]])),
    "a batch of one": (np.array([2]), np.array([[4.0, 0, 0]])),
    "always the same answer": (np.array([0, 1, 2, 0]), np.tile([9.0, 0, 0], (4, 1))),
    "not finite": (np.array([0, 1]), np.full((2, 3), np.nan)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", ["gap", "max"])
def test_odd_passes_are_shown_sensibly(case: str, model: str, tmp_path: Path) -> None:
    labels, logits = CASES[case]
    if model == "gap":
        net: nn.Module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        )
    else:
        net = ResNet9(3, width=4)
    logged: dict[str, float] = {}
    folder = str(tmp_path)
    logger = Board(save_dir=folder)
    with logger.experiment as writer:
        seen = a_pass(
            *(labels, logits, net),
            writers=[writer],
            show_picture=lambda tag, picture: log_picture(logger, tag, picture, 7),
            log_number=logged.__setitem__,
        )
        for view in (
            *(kind(folder=folder) for kind in (Misclassified, GradCam, Evidence, Confusion, Calibration)),
            Projector(),
            PredictionsFile(folder=folder, triage=Triage()),
        ):
            view(seen)
    found = events(tmp_path)
    images_shown = set(found.Tags()["images"])
    assert {"test/misclassified", "test/confusion", "test/per_class", "test/reliability"} <= images_shown
    with (tmp_path / "predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(labels)
    wrong = seen.wrong.sum()
    assert ("test/grad_cam" in images_shown) == (wrong == 0), "a note instead of maps"
    assert ("test/evidence/1" in images_shown) == (wrong > 0 and model == "gap")
    if case != "not finite":
        assert 0 <= logged["test/ece"] <= 1
    for tag in images_shown:
        assert np.asarray(Image.open(io.BytesIO(found.Images(tag)[0].encoded_image_string))).std() > 0


def test_the_parts_of_several_processes_come_in_the_order_of_the_data() -> None:
    logits, labels = torch.arange(14.0).view(7, 2), torch.arange(7) % 2
    positions = np.array([3, 10, 11, 20, 21, 30, 31])  # a validation split
    datamodule = SimpleNamespace(
        eval_data=lambda _stage: (SimpleNamespace(images=None), positions),
        source=SimpleNamespace(class_names=["a", "b"]),
        image_size=32,
    )
    state = SimpleNamespace(fn=L.pytorch.trainer.states.TrainerFn.FITTING)
    trainer: Any = SimpleNamespace(datamodule=datamodule, state=state, global_step=5, loggers=[])
    parts = [(logits[rank::3], labels[rank::3]) for rank in range(3)]
    seen = evaluation(trainer, SimpleNamespace(net=None), "val", parts)  # type: ignore[arg-type]
    assert seen.indices.tolist() == positions.tolist()
    assert seen.logits.tolist() == logits.tolist()
    assert seen.labels.tolist() == labels.tolist()
    assert seen.step == 4


def views_of(**views: Any) -> EvaluationViews:
    (together,) = with_views(views)
    assert isinstance(together, EvaluationViews)
    return together


def test_a_view_that_fails_costs_no_other_one(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def breaks(_: Evaluation) -> None:
        raise RuntimeError("no room\nfor this")

    views = views_of(first=breaks, second=lambda seen: calls.append(seen.stage))
    for name in views.views:
        views.show(name, a_pass(np.array([0]), np.eye(3)[:1], nn.Identity()))
    assert calls == ["test"]
    (line,) = caplog.messages
    assert line == "error: callbacks.first shows nothing of this test: RuntimeError: no room for this"


def test_a_file_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    views = views_of(predictions=PredictionsFile(folder=str(tmp_path / "file"), triage=Triage()))
    with pytest.raises(OSError, match="file"):
        views.show("predictions", a_pass(np.array([0]), np.eye(3)[:1], nn.Identity()))


def test_all_views_share_one_pass_and_one_softmax(
    run_tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Evaluation, int]] = []

    def remember(_: Calibration, evaluation: Evaluation) -> None:
        seen.append((evaluation, id(evaluation.probs)))

    for kind in (Calibration, Confusion, PredictionsFile):
        monkeypatch.setattr(kind, "__call__", remember)
    run_tiny(*FEW, "callbacks.grad_cam=null", "callbacks.evidence=null")
    assert len(seen) == 3
    assert {(id(evaluation), probs) for evaluation, probs in seen} == {(id(seen[0][0]), seen[0][1])}


def test_each_view_has_its_own_epochs() -> None:
    class Often(View):
        def __init__(self, every_n_epochs: int | None) -> None:
            self.every_n_epochs = every_n_epochs

    views = views_of(each=Often(1), third=Often(3), test=Often(None), function=lambda _: None)
    trainer: Any = SimpleNamespace(sanity_checking=False, current_epoch=0)
    due = []
    for trainer.current_epoch in range(3):
        due.append(views.due(trainer))
    assert due == [["each"], ["each"], ["each", "third"]]
    trainer.sanity_checking = True
    assert views.due(trainer) == []


def test_views_stand_together_and_anything_else_is_refused() -> None:
    one, two = L.Callback(), L.Callback()
    found = with_views({"a": one, "b": print, "c": two, "d": repr})
    assert found[0] is one
    assert found[2] is two
    assert found[1].views == {"b": print, "d": repr}  # type: ignore[attr-defined]
    with pytest.raises(
        ValueError, match="callbacks.e must be a Lightning callback or a function of an Evalu"
    ):
        with_views({"e": 3})


def test_callbacks_stand_in_the_declared_order() -> None:
    def blank(kind: type) -> Any:
        return kind.__new__(kind)

    kinds: list[type] = [WeightAverage, Guards, UpdateMonitor, EpochLine, HparamsTab, Recorder]
    found = [type(callback) for callback in in_order(map(blank, kinds))]
    assert found == [Recorder, HparamsTab, UpdateMonitor, Guards, EpochLine, WeightAverage]


def test_a_function_and_a_line_of_yaml_are_a_view(run_tiny: Callable[..., Path]) -> None:
    mine = "+callbacks.mine={_target_: tests.engine.probes.note_accuracy, _partial_: true, digits: 3"
    run_dir = run_tiny(*FEW[:4], "callbacks=none", mine + ", folder: '${paths.run_dir}'}")
    assert (run_dir / "test.txt").read_text() == f"{read_summary(run_dir)['test/acc']:.3f}"
    assert not (run_dir / "val.txt").exists()
