"""Warnings and notes of the libraries that say nothing to somebody who trains here."""

import logging
import warnings

_KNOWN = (
    # a resumed run
    r"Checkpoint directory .* exists and is not empty",
    # a resumed run in the middle of an epoch: EpochSampler does so after what is done
    "You're resuming from a checkpoint that ended before the epoch ended",
    # two cores: the number of workers is the user's choice
    "The '.*_dataloader' does not have many workers",
    # data.num_val=0 and debug=overfit mean it
    "Total length of `list` across ranks is zero",
    "You requested to overfit but enabled train dataloader shuffling",
    # check_val_every_n_epoch=2, limit_val_batches=0: there is nothing to choose a best epoch by, yet
    r".*could not find the monitored key in the returned metrics",
    # Lightning's own use of a name that torch has deprecated
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # a diverged training, which the guards tell better
    "Encountered `nan` values in tensor",
    # a login node: the bench starts its processes itself, and a SLURM launcher's job script calls srun
    r"The `srun` command is available",
    # short epochs of small datasets
    r"The number of training batches .* is smaller than the logging interval",
)


def quiet() -> None:
    """Leave only warnings that a user can act on."""
    for message in _KNOWN:
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch", "lightning.fabric", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.WARNING)
