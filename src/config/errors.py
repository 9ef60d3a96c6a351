"""What is wrong with a configuration, in one line."""

import textwrap
from collections.abc import Iterable
from difflib import get_close_matches

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

# Options that had other names in earlier versions, or have them in other templates
RENAMED = {
    "debug/default": "debug=fast",
    "debug/fdr": "debug=fast",
    "debug/limit": "debug=fast",
    "debug/profiler": "debug=profile",
    "experiment/seed_ln": "experiment=resnet18_ln",
    "experiment/seed_bn": "experiment=resnet18_bn",
    "augment/seed": "augment=crop_rotate_cutout",
    "augment/seed_flip": "augment=crop_flip_cutouts",
    "augment/albumentations_seed": "augment=albumentations_crop_rotate_cutout",
    "augment/albumentations_seed_flip": "augment=albumentations_crop_flip_cutouts",
}


class ConfigError(ValueError):
    """A mistake in the configuration, told in one line, whatever is quoted in it."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Text on one line; what no terminal should be sent, such as escape sequences, becomes `?`."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def first_line(error: BaseException) -> str:
    """The first line of a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def renamed(option: str) -> str | None:
    """Say how `<group>/<option>` is called now, or None if it was never renamed."""
    new = RENAMED.get(option)
    return new and f"{option.replace('/', '=')} is called {new} here."


def plain_words(error: Exception) -> str:
    """The sentence in a library's message of several lines; of a resolver's error, the resolver's own."""
    if isinstance(error, MissingConfigException) and (words := renamed(str(error.missing_cfg_file))):
        return words
    sentence = str(error).split("\n    full_key:")[0]
    return " ".join(sentence.rpartition("raised while resolving interpolation: ")[2].split())


def unforeseen(error: Exception) -> str:
    """One line of at most some 300 characters on an error that nothing else has told of."""
    short = textwrap.shorten(in_words(error), 300, placeholder=" …")
    return f"{short} (HYDRA_FULL_ERROR=1 shows the traceback)"


def in_words(error: Exception) -> str:
    """What an error says, after its type where that tells more than the message."""
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return plain_words(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    message = printable(str(error))
    return (
        message
        if isinstance(error, (ValueError, OSError)) and message
        else f"{type(error).__name__}: {message}"
    )


def nearest(given: str, valid: Iterable[str], prefix: str = "") -> str:
    """` Did you mean …?` with the nearest valid name, or nothing."""
    valid = list(valid)
    leaf = given.rpartition(".")[2]
    leaves = {key.rpartition(".")[2]: key for key in reversed(valid)}
    found: list[str] = get_close_matches(given, valid, n=1, cutoff=0.8 if "." in given else 0.5)
    if leaf in leaves:
        found = [leaves[leaf]]  # `lr` is `optimizer.lr`
    elif "." not in given:  # `epochs` is `trainer.max_epochs`
        found = [leaves[n] for n in get_close_matches(leaf, leaves, n=1)] or found
    return f" Did you mean {prefix}{found[0]}?" if found else ""
