"""Putting small pictures and captions on one sheet, fast enough for a training loop.

TensorBoard shows an image about 345 pixels wide: sheets of five tiles are made twice as wide, in a
type that is still legible at half its size.
"""

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from src.files import atomic_write

TILE = 128  # pixels, height and width of a picture on a sheet: CIFAR pixels become 4 x 4
GAP = 6
FONT_SIZE, MIN_FONT_SIZE = 19, 13
INK, ACTUAL, PREDICTED, FAINT = "#1a1a1a", "#0072B2", "#C44E00", "#6b6b6b"  # blue and vermillion: Okabe & Ito

Line = tuple[str, str]  # text and its color


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows most scripts."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def tile(picture: Tensor | np.ndarray, side: int = TILE) -> Image.Image:
    """(3, H, W) in [0, 1], or (H, W, 3) uint8 -> a square of `side` pixels; enlarged pixels stay sharp."""
    if isinstance(picture, Tensor):
        picture = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    image = Image.fromarray(picture)
    enlarged = max(image.size) < side
    return image.resize((side, side), Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS)


def text(lines: Sequence[Line], width: int) -> Image.Image:
    """Lines of text, centred; a long one is set smaller, and cut with `…` where that does not do."""
    height = round(FONT_SIZE * 1.25)
    strip = Image.new("RGB", (width, height * len(lines)), "white")
    draw = ImageDraw.Draw(strip)
    for row, (words, color) in enumerate(lines):
        shown, size = fitted(words, width)
        draw.text((width / 2, (row + 0.5) * height), shown, color, _font(size), anchor="mm")
    return strip


def noted(picture: Image.Image, lines: Sequence[str]) -> Image.Image:
    """A picture with words across its middle, legible on any background."""
    drawn = picture.copy()
    middle = (picture.width / 2, picture.height / 2)
    ImageDraw.Draw(drawn).text(
        middle,
        "\n".join(lines),
        "white",
        _font(FONT_SIZE),
        anchor="mm",
        align="center",
        stroke_width=2,
        stroke_fill=INK,
    )
    return drawn


def fitted(words: str, width: int) -> tuple[str, int]:
    """`words` and the largest type that fits them into `width` pixels; at the smallest, cut with `…`."""
    for size in range(FONT_SIZE, MIN_FONT_SIZE - 1, -1):
        if _font(size).getlength(words) <= width:
            return words, size
    while words and _font(MIN_FONT_SIZE).getlength(words + "…") > width:
        words = words[:-1]
    return words.rstrip() + "…", MIN_FONT_SIZE


def above(parts: Sequence[Image.Image], gap: int = 0) -> Image.Image:
    """Pictures one above the other, centred, on white."""
    size = max(p.width for p in parts), sum(p.height for p in parts) + gap * (len(parts) - 1)
    sheet, y = Image.new("RGB", size, "white"), 0
    for part in parts:
        sheet.paste(part, ((size[0] - part.width) // 2, y))
        y += part.height + gap
    return sheet


def beside(parts: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    """Pictures in a row, centred, on white."""
    size = sum(p.width for p in parts) + gap * (len(parts) - 1), max(p.height for p in parts)
    sheet, x = Image.new("RGB", size, "white"), 0
    for part in parts:
        sheet.paste(part, (x, (size[1] - part.height) // 2))
        x += part.width + gap
    return sheet


def grid(parts: Sequence[Image.Image], columns: int, gap: int = GAP) -> Image.Image:
    """Pictures in rows of `columns`, with a margin, on white."""
    rows = [parts[i : i + columns] for i in range(0, len(parts), columns)]
    heights = [max(part.height for part in row) for row in rows]
    width = max(sum(part.width for part in row) + gap * (len(row) + 1) for row in rows)
    sheet, y = Image.new("RGB", (width, sum(heights) + gap * (len(rows) + 1)), "white"), gap
    for row, height in zip(rows, heights, strict=True):
        x = gap
        for part in row:
            sheet.paste(part, (x, y + (height - part.height) // 2))
            x += part.width + gap
        y += height + gap
    return sheet


class Png(NamedTuple):
    """A picture as the content of a PNG file, for TensorBoard and for the run's folder."""

    content: bytes
    width: int  # pixels
    height: int


def packed(picture: Image.Image) -> Png:
    """Level 2 takes a third of the time of the usual 6, and a fifth more bytes."""
    file = BytesIO()
    picture.save(file, format="PNG", compress_level=2)
    return Png(file.getvalue(), *picture.size)


def as_chw(image: Image.Image) -> np.ndarray:
    """A picture as TensorBoard takes it: (3, H, W) uint8."""
    return np.asarray(image).transpose(2, 0, 1)


def save(picture: Png, folder: Path, name: str) -> None:
    """Leave a picture as `<name>.png`, never half-written."""
    with atomic_write(folder / f"{name}.png", "wb") as file:
        file.write(picture.content)
