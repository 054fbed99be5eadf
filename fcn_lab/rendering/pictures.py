"""Draws pictures of predictions: image | truth | prediction | errors, with the classes' legend.

Legend: H W rows and columns, C channels, K classes; label maps are uint8 with 0…K−1 or void.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fcn_lab.pixels import VOID, VOID_COLOUR, Colour, Pixels

ERROR_COLOUR: Colour = (255, 45, 45)
PAPER: Colour = (255, 255, 255)
INK: Colour = (25, 25, 25)
# narrower pictures are enlarged by a whole factor
LEAST_WIDTH = 360
GAP, MARGIN, SWATCH = 8, 10, 14
FONT = ImageFont.load_default(size=15)


@dataclass(frozen=True)
class Picture:
    """One scored image: its pixels as shown (H,W,3), truth and prediction (H,W)."""

    name: str
    image: Pixels
    truth: Pixels
    prediction: Pixels


def colourise(labels: Pixels, palette: Sequence[Colour]) -> Pixels:
    """Maps labels (H,W) to colours (H,W,3)."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    table[VOID] = VOID_COLOUR
    return table[labels]


def draw_errors(picture: Picture) -> Pixels:
    """Returns (H,W,3): wrong pixels in red over the image faded to grey, void in black."""
    grey = picture.image.mean(2, keepdims=True) * 0.35 + 255 * 0.6
    canvas = np.broadcast_to(grey, picture.image.shape).astype(np.uint8)
    canvas[(picture.prediction != picture.truth)] = ERROR_COLOUR
    canvas[picture.truth == VOID] = VOID_COLOUR
    return canvas


def wrong_share(picture: Picture) -> float:
    """Returns the share of wrong pixels among those that are not void, in 0…1."""
    is_labelled = picture.truth != VOID
    is_wrong = (picture.prediction != picture.truth)[is_labelled]
    return float(is_wrong.mean()) if is_wrong.size else 0.0


def draw_panel(picture: Picture, classes: Sequence[str], palette: Sequence[Colour]) -> Image.Image:
    """Draws image, truth, prediction and errors side by side, above the legend.

    Args:
        picture: what to show.
        classes: K names.
        palette: K colours.
    """
    parts = (
        (picture.name, picture.image),
        ("truth", colourise(picture.truth, palette)),
        ("prediction", colourise(picture.prediction, palette)),
        (f"errors {wrong_share(picture):.1%}", draw_errors(picture)),
    )
    height, width = picture.truth.shape
    factor = max(1, -(-LEAST_WIDTH // width))
    height, width = height * factor, width * factor
    title = SWATCH + GAP
    total = 2 * MARGIN + 4 * width + 3 * GAP
    legend = draw_legend(classes, palette, total - 2 * MARGIN)
    canvas = Image.new("RGB", (total, 2 * MARGIN + title + height + GAP + legend.height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, (text, pixels) in enumerate(parts):
        left = MARGIN + column * (width + GAP)
        draw.text((left, MARGIN - 4), text, INK, FONT)
        part = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        canvas.paste(part, (left, MARGIN + title))
    canvas.paste(legend, (MARGIN, MARGIN + title + height + GAP))
    return canvas


def draw_legend(classes: Sequence[str], palette: Sequence[Colour], width: int) -> Image.Image:
    """Draws colour and name of every class, of void and of an error, at most `width` wide."""
    entries = [*zip(classes, palette, strict=True), ("void", VOID_COLOUR), ("wrong", ERROR_COLOUR)]
    column = max(round(FONT.getlength(name)) for name, _ in entries) + SWATCH + 3 * GAP
    columns = max(1, width // column)
    line = SWATCH + GAP
    canvas = Image.new("RGB", (width, line * -(-len(entries) // columns)), PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, (name, colour) in enumerate(entries):
        left, top = index % columns * column, index // columns * line
        draw.rectangle((left, top, left + SWATCH, top + SWATCH), colour, INK)
        draw.text((left + SWATCH + GAP, top - 2), name, INK, FONT)
    return canvas


def draw_confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Image.Image:
    """Draws the confusion matrix: rows truth, columns prediction, in per cent of the row."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 46
    left = round(max(FONT.getlength(name) for name in classes)) + 2 * MARGIN
    canvas = Image.new(
        "RGB", (left + side * len(classes) + MARGIN, left + side * len(classes) + MARGIN), PAPER
    )
    draw = ImageDraw.Draw(canvas)
    for row, name in enumerate(classes):
        draw.text((MARGIN, left + row * side + side // 3), name, INK, FONT)
        label = Image.new("RGB", (left - MARGIN, side), PAPER)
        ImageDraw.Draw(label).text((0, side // 3), name, INK, FONT)
        canvas.paste(label.rotate(90, expand=True), (left + row * side, MARGIN))
        for column, value in enumerate(share[row]):
            tint = tuple(round(255 - (255 - c) * float(value) ** 0.5) for c in (23, 93, 140))
            corner = (left + column * side, left + row * side)
            draw.rectangle((*corner, corner[0] + side - 2, corner[1] + side - 2), tint)
            ink = PAPER if value > 0.3 else INK
            draw.text(
                (corner[0] + side // 2 - 1, corner[1] + side // 2),
                f"{100 * value:.0f}",
                ink,
                FONT,
                anchor="mm",
            )
    return canvas
