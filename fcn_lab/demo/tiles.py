"""Renders a scene as HTML: tiles of pictures, the legend, and a table of numbers."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from fcn_lab.demo.views import Scene, View, agreement, blend, colour_values
from fcn_lab.rendering import html as page
from fcn_lab.rendering.html import TEMPLATES
from fcn_lab.rendering.pictures import ERROR_COLOUR, Colour, Picture, Pixels, draw_errors
from fcn_lab.terminal import format_percent


@dataclass(frozen=True)
class EmbeddedPicture:
    """A picture as a data URL with its alternative text."""

    source: str
    alt: str

    @classmethod
    def encode(cls, pixels: Pixels, alt: str) -> "EmbeddedPicture":
        """Encodes pixels (H,W,3) as a PNG data URL."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return cls(f"data:image/png;base64,{b64encode(file.getvalue()).decode()}", alt)


@dataclass(frozen=True)
class Tile:
    """Pictures one below the other with a title and a note."""

    title: str
    note: str
    pictures: Sequence[EmbeddedPicture]


def render(
    scene: Scene,
    classes: Sequence[str],
    palette: Sequence[Colour],
    opacity: Sequence[float],
    recorded: Mapping[str, float | None],
) -> str:
    """Returns the HTML of a scene with the results of all its networks.

    Args:
        scene: what to show.
        classes: K names.
        palette: K colours.
        opacity: of each class over the picture, 0…1.
        recorded: the mean IoU that each network was scored with.
    """
    tiles = [_picture_tile(scene, palette, opacity)]
    tiles += [
        _network_tile(scene, label, view, palette, opacity) for label, view in scene.views.items()
    ]
    ramp = np.broadcast_to(np.linspace(0, 1, 120, dtype=np.float32), (12, 120))
    return TEMPLATES.get_template("demo.html").render(
        tiles=tiles,
        legend=[(name, css_colour(colour)) for name, colour in zip(classes, palette, strict=True)],
        scale=EmbeddedPicture.encode(colour_values(ramp), "").source,
        truth_known=scene.truth is not None,
        wrong=css_colour(ERROR_COLOUR),
        table=_score_table(scene, recorded),
    )


def css_colour(colour: Colour) -> str:
    """Returns the colour as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _picture_tile(scene: Scene, palette: Sequence[Colour], opacity: Sequence[float]) -> Tile:
    pictures = [EmbeddedPicture.encode(scene.image, f"the picture {scene.name}")]
    if scene.truth is not None:
        truth = blend(scene.image, scene.truth, palette, opacity)
        pictures.append(EmbeddedPicture.encode(truth, "its true classes"))
    height, width = scene.image.shape[:2]
    title = "picture" if scene.truth is None else "picture, truth"
    return Tile(title, f"{width}×{height}", pictures)


def _network_tile(
    scene: Scene, label: str, view: View, palette: Sequence[Colour], opacity: Sequence[float]
) -> Tile:
    shown = blend(scene.image, view.labels, palette, opacity)
    pictures = [
        EmbeddedPicture.encode(shown, f"classes by {label}"),
        EmbeddedPicture.encode(colour_values(view.entropy), f"entropy of {label}"),
    ]
    if scene.truth is not None:
        wrong = draw_errors(Picture(scene.name, scene.image, scene.truth, view.labels))
        pictures.append(EmbeddedPicture.encode(wrong, f"errors of {label}"))
    return Tile(label, f"{1000 * view.seconds:.0f} ms", pictures)


def _score_table(scene: Scene, recorded: Mapping[str, float | None]) -> Markup:
    first = next(iter(scene.views.values()), None)
    columns = [
        "network",
        "ms",
        "mean entropy",
        "as the first, %",
        "accuracy here, %",
        "mean IoU, %",
    ]
    rows = []
    for label, view in scene.views.items():
        alike = None if view is first or first is None else agreement(view.labels, first.labels)
        right = None if scene.truth is None else agreement(view.labels, scene.truth)
        numbers = (f"{1000 * view.seconds:.0f}", f"{view.entropy.mean():.3f}")
        rows.append([label, *numbers, *map(format_percent, (alike, right, recorded.get(label)))])
    return page.render_table(
        columns, rows, "What each network said of this picture; mean IoU as recorded"
    )
