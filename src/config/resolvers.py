"""The functions that YAML files call as `${name:arguments}`. Importing this module registers them."""

import re
import warnings
from pathlib import Path

from omegaconf import OmegaConf

CONF_DIR = Path(__file__).resolve().parents[2] / "conf"
NOT_COMPOSED = {"search": "src.tune"}  # folders of conf/ that src.train does not read -> who does
_MAX_NAME_LENGTH = 100  # characters; file systems allow 255 bytes


def run_name(override_dirname: str) -> str:
    """Short name of a variant: `optimizer.lr=0.1,norm=ln` becomes `lr=0.1,norm=ln`.

    Brackets and quotes go, other characters that some file system forbids become `-`, and what
    would make the name too long is left out.
    """
    name = ""
    for part in re.split(r",(?=[+~\w./@]+=)", override_dirname):
        key, equals, value = part.lstrip("+~").partition("=")
        short = key.rpartition(".")[2].rpartition("/")[2] + equals + value
        longer = f"{name},{short}" if name else short
        if len(longer) > _MAX_NAME_LENGTH:
            break
        name = longer
    bare = re.sub(r"[\[\]{}()'\"]", "", name)
    return re.sub(r"[^\w.,=+-]", "-", bare).rstrip(".,-") or "default"


def make_folder(folder: str | Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        OSError: it cannot be made; one line that says what to do.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise _no_folder(folder, "it is a file, or lies below one") from None
    except OSError as error:
        raise _no_folder(folder, error.strerror) from None


def _no_folder(folder: str | Path, reason: str | None) -> OSError:
    return OSError(
        f"{str(folder)[:200]} cannot be made ({reason}): give a folder that can be written to, by "
        f"paths.output_dir=, the environment variable OUTPUT_DIR, or the command's own out=."
    )


def new_folder(parent: str, *names: str) -> str:
    """Create and return `parent/name_name`, or with `-2`, `-3` … appended if another process has that.

    `mkdir` is atomic, so two jobs that start in the same second never share a folder.

    Raises:
        OSError: there can be none; one line that says what to do.
    """
    stem = "_".join(str(name) for name in names if str(name))
    make_folder(parent)
    for count in range(1, 10_000):
        folder = Path(parent) / (stem if count == 1 else f"{stem}-{count}")
        try:
            folder.mkdir()
        except FileExistsError:
            if folder.is_dir():
                continue
            raise _no_folder(folder, "it is a file") from None
        except OSError as error:
            raise _no_folder(folder, error.strerror) from None
        return str(folder)
    raise FileExistsError(f"10,000 folders named {stem} in {parent}: remove some.")


def folder_name(path: str) -> str:
    """The last part of a path."""
    return Path(path).name


def part_of(total: int, fraction: float) -> int:
    """`fraction` of `total`, rounded, at least 1: a place in a run of any length."""
    return max(1, round(total * fraction))


def decay_to(fraction: float, num_steps: int) -> float:
    """The factor that, applied `num_steps` times, leaves `fraction`."""
    return float(fraction ** (1 / num_steps)) if num_steps > 0 else 1.0


def count_folders(folder: str) -> int:
    """The number of class folders in `folder`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are fewer than two.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            f"no folder {folder}: data.root must hold train/<class>/<images> and test/<class>/<images>."
        )
    found = [e.name for e in Path(folder).iterdir() if e.is_dir() and not e.name.startswith(".")]
    if len(found) < 2:
        raise ValueError(
            f"{folder} holds {len(found)} class folders: a classifier needs two or more, with images in them."
        )
    return len(found)


def thread_limit(num_cores: int | None) -> dict[str, str]:
    """The environment in which torch, once imported, uses `num_cores` threads; empty for None: all cores."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(num_cores)) if num_cores else {}


# They reckon or read: a configuration from a file may use them
READING = (run_name, folder_name, part_of, decay_to, count_folders)


def register() -> None:
    """Make the functions known to OmegaConf; doing it twice is harmless."""
    # conf/hydra/launcher/ holds presets: the plugins' own options of the same names add the other keys
    warnings.filterwarnings("ignore", message="(?s).*validated against ConfigStore schema")
    for function in (*READING, thread_limit):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)
    # Cached, so that one job sees one folder however often the name is read.
    OmegaConf.register_new_resolver("new_folder", new_folder, replace=True, use_cache=True)


register()
