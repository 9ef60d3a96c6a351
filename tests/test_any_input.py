"""Whatever is given: accepted, or refused in one line. Hypothesis draws 2,000 inputs, always the same.

250 values of keys and 300 texts go through the check of one job over one composed configuration, 50 through
all that a command checks (composing takes a tenth of a second each), 400 through the commands' own arguments
(six readers each), 400 entries through search spaces, 600 files through the reader of pictures.
"""

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from PIL import Image

from src.config.check import check, check_job, check_option
from src.config.errors import ConfigError
from src.config.finished import own_arguments
from src.config.hydra_private import loader, parse, without_hydra
from src.config.keys import all_keys
from src.config.resume import with_run_overrides
from src.data.source import read_image
from src.find_lr import command as find_lr
from src.landscape import command as landscape
from src.tune import command as tune
from src.tune.search_space import parse as parse_space

SAME = {"derandomize": True, "database": None, "deadline": None}
SHARED = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["1e400", "-0", "0x10", "1_000", "٣", "²", "½", "1e-400", "99999999999999999999", ".", "--1"]
    ),
)
WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "null", "true", "???", "a b", "'", '"', "''", "\\", "~", "-m", "😀", "a\nb", "\x1b[31m", "\x00"]
    ),
    st.sampled_from(
        ["${seed}", "${nothing}", "${optimizer.lr}", "${", "}", "${oc.env:NO_SUCH}", "${oc.decode:'[1'}"]
    ),
    st.sampled_from(
        ["[]", "{}", "[1,2]", "[[1,0.5]]", "{a:1}", "[a", "{a", "1,2", "choice(1)", "range(1,2)", "glob(*)"]
    ),
)
VALUES = st.one_of(NUMBERS, WORDS, st.lists(NUMBERS, max_size=3), st.booleans(), st.none())


def told(refusal: Exception, begins: str = "") -> None:
    """One line that can be printed, and is not empty."""
    said = str(refusal)
    assert said.strip()
    assert said.startswith(begins)
    assert said.isprintable(), repr(said)


class Bench:
    """The checks of one override."""

    def __init__(self) -> None:
        with loader() as hydra:
            self.keys = all_keys(OmegaConf.to_container(without_hydra(hydra.base([]))))

    def check(self, override: str) -> None:
        (parsed,) = parse([override])
        with loader() as hydra:
            check_option(parsed, hydra)
            if not parsed.is_sweep_override() and not parsed.key_or_group.startswith("hydra"):
                check_job([parsed], hydra)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.slow
@settings(max_examples=250, **SAME, **SHARED)
@given(data=st.data(), sign=st.sampled_from(["", "", "", "+", "++", "~"]), value=VALUES)
def test_any_value_of_any_key(bench: Bench, data: st.DataObject, sign: str, value: object) -> None:
    key = data.draw(st.sampled_from(bench.keys))
    try:
        bench.check(f"{sign}{key}={value}")
    except ConfigError as refusal:
        told(refusal)


@settings(max_examples=300, **SAME, **SHARED)
@given(override=st.one_of(st.text(max_size=30), st.builds("{}={}".format, st.text(max_size=12), VALUES)))
def test_any_text_in_the_place_of_an_override(bench: Bench, override: str) -> None:
    try:
        bench.check(override)
    except ConfigError as refusal:
        told(refusal)


LIKELY = [
    "optimizer",
    "norm",
    "seed",
    "trainer.max_epochs",
    "optimizer.lr",
    "hydra.job.name",
    "hydra.nope",
    "paths",
]


@pytest.mark.slow
@settings(max_examples=50, **SAME)
@given(key=st.sampled_from(LIKELY), value=VALUES, sweep=st.booleans())
def test_any_value_through_the_whole_check_of_a_command(key: str, value: object, sweep: bool) -> None:
    try:
        check([f"{key}={value}"], sweep=sweep)
    except ConfigError as refusal:
        told(refusal)


@settings(max_examples=400, **SAME)
@given(values=st.lists(VALUES.map(str), min_size=len(find_lr.OWN), max_size=len(find_lr.OWN)))
def test_any_value_of_a_commands_own_arguments(values: list[str]) -> None:
    for read in (
        lambda: tune.whole_number(values[0]),
        lambda: find_lr.sweep_of(find_lr.OWN | dict(zip(find_lr.OWN, values, strict=True))),
        lambda: landscape.whole({"points": values[1]}, "points"),
        lambda: landscape.above_zero({"reach": values[2]}, "reach"),
        lambda: own_arguments(values, find_lr.OWN),
        lambda: with_run_overrides([f"ckpt_path={values[3]}"]),
    ):
        try:
            read()
        except ConfigError as refusal:
            told(refusal)


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
SPACES = st.builds(
    "{}({}, {})".format,
    st.sampled_from(["interval", "range", "choice", "int", "tag", "tag(log, interval", "range(1, "]),
    VALUES,
    VALUES,
)


@settings(max_examples=400, **SAME)
@given(entry=st.one_of(PLAIN, WORDS, SPACES))
def test_any_entry_of_a_search_space(entry: object) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # Optuna's, of choices that it cannot keep
            parse_space({"optimizer.lr": entry})
    except ValueError as refusal:
        told(ConfigError(str(refusal)))  # as the command tells it


def pictures() -> list[bytes]:
    """Small pictures of many kinds, as files."""
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (13, 17, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(rng.integers(0, 65536, (13, 17), dtype=np.uint16))
    kinds: list[tuple[Image.Image, str, dict[str, object]]] = [
        (color, "PNG", {}),
        (color, "PNG", {"exif": turned}),
        (color.convert("RGBA"), "PNG", {}),
        (color.convert("LA"), "PNG", {}),
        (color.convert("P"), "PNG", {"transparency": 3}),
        (color.convert("1"), "PNG", {}),
        (deep, "PNG", {}),
        (deep, "TIFF", {}),
        (color.convert("F"), "TIFF", {}),
        (color.convert("CMYK"), "TIFF", {"compression": "tiff_lzw"}),
        (color, "JPEG", {"exif": turned}),
        (color, "JPEG", {"progressive": True}),
        (color.convert("L"), "JPEG", {}),
        (color.convert("CMYK"), "JPEG", {}),
        (color, "BMP", {}),
        (color.convert("P"), "BMP", {}),
        (color.convert("P"), "GIF", {"transparency": 0}),
        (color.convert("P"), "GIF", {"save_all": True, "append_images": [color.rotate(90).convert("P")]}),
        (color, "WEBP", {"lossless": True, "exif": turned}),
        (color.convert("RGBA"), "WEBP", {}),
        (color, "PPM", {}),
        (color.resize((1, 300)), "PNG", {}),
    ]
    files = []
    for image, kind, how in kinds:
        file = io.BytesIO()
        image.save(file, kind, **how)
        files.append(file.getvalue())
    return files


PICTURES = pictures()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A picture's file: whole, cut, with bytes changed, or nothing of the kind."""
    content = bytearray(draw(st.one_of(st.sampled_from(PICTURES), st.binary(max_size=200))))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)):
        if place < len(content):
            content[place] = value
    return bytes(content[: draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])


@settings(max_examples=600, **SAME)
@given(content=damaged(), size=st.integers(8, 40))
def test_any_bytes_in_the_place_of_a_picture(content: bytes, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        path.write_bytes(content)
        try:
            pixels = read_image(path, size)
        except ValueError as refusal:
            told(refusal, begins=f"{path} cannot be read as an image")
        else:
            assert pixels.shape == (size, size, 3)
            assert pixels.dtype == np.uint8


def test_the_pictures_are_read_where_they_are_whole(tmp_path: Path) -> None:
    for content in PICTURES:
        (tmp_path / "whole").write_bytes(content)
        assert read_image(tmp_path / "whole", 9).shape == (9, 9, 3)
