"""What is where in TensorBoard."""

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from src.callbacks.board import board_step, boards

_LAYOUT = {
    "1 learning": {
        "accuracy": ["Multiline", ["train/acc", "val/acc"]],
        "loss": ["Multiline", ["train/loss$", "val/loss"]],
    },
    "2 optimizer": {
        "learning rate": ["Multiline", ["lr-[^-]*$"]],
        "momentum": ["Multiline", ["lr-.*-momentum$"]],
    },
    "3 weights": {
        "relative update of all weights": ["Multiline", ["update/all"]],
        "gradient norm": ["Multiline", ["grad_norm/all"]],
        "share of gradient values that clipping touched": ["Multiline", ["clip/share"]],
    },
    "4 speed": {"images a second": ["Multiline", ["train/images_per_second"]]},
}

_PAGES = """\
# What is where

| page | what it shows |
|---|---|
| **Custom scalars** | training and validation in one chart; learning rate, momentum; updates; speed |
| **Time series**, **Scalars** | every curve; `train/loss_step` is the minimized loss of single batches; \
`update/<layer>` how far a step moves its weights, `update_line/<layer>` where theory expects that to settle |
| **Images** | see below |
| **Text** | the network, the most confused pairs, the score of each class |
| **PR curves** | precision against recall of each class on the test set |
| **HParams** | a row a run: what was chosen and what came of it; sort it, or plot one against the other |
| **Projector** | the test images as the last layer sees them: color by *verdict*, find the mistakes |

## Images

`val/…` while training, `test/…` at the end, on the weights that were best on the validation images.

- `misclassified`: the most confident mistakes: actual / predicted (confidence).
- `grad_cam/1` …: the same mistakes, five a page (while training, the first page). Bright is where a \
layer's features speak for the class: one row for the predicted class, one for the actual one; \
each map has a scale of its own.
- `evidence/1` …: what each place adds to the logit, exactly: orange for, purple against; one scale a row. \
The difference is why it was not the actual class. Only for networks with global average pooling.
- `confusion`, `per_class`, `reliability`: which classes are taken for which, and whether \
confidences can be believed.
- `train/images`: training images as the network sees them.
- `train/updates`: the relative update of each layer, measured and predicted.

Click an image to see it at its full size. TensorBoard keeps ten steps of each tag; \
`tensorboard --samples_per_plugin images=1000` keeps more.
The run's folder has the pictures as PNG files, and `predictions.csv`: a row for each test image.
"""


class Guide(L.Callback):
    """A text page that explains the others, and a layout for the custom scalars, once a run."""

    def __init__(self) -> None:
        self.written = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write(trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.write(trainer)

    @rank_zero_only
    def write(self, trainer: L.Trainer) -> None:
        if self.written:
            return
        self.written = True
        for writer in boards(trainer):
            writer.add_text("guide", _PAGES, board_step(trainer))
            writer.add_custom_scalars(_LAYOUT)
