"""What the page shows of a scene, as HTML: tiles of pictures, the legend, a table of numbers."""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from fcn_lab.demo.views import Scene, View, agreement, blend, glow
from fcn_lab.rendering import html as page
from fcn_lab.rendering.html import TEMPLATES
from fcn_lab.rendering.pictures import WRONG, Colour, Picture, Pixels, errors


@dataclass(frozen=True)
class Shown:
    """A picture as a page holds it."""

    source: str
    alt: str

    @classmethod
    def of(cls, pixels: Pixels, alt: str) -> "Shown":
        """From (H,W,3)."""
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return cls(f"data:image/png;base64,{b64encode(file.getvalue()).decode()}", alt)


@dataclass(frozen=True)
class Tile:
    """Pictures under each other with a title and a note."""

    title: str
    note: str
    pictures: Sequence[Shown]


def render(
    scene: Scene,
    classes: Sequence[str],
    palette: Sequence[Colour],
    opacity: Sequence[float],
    recorded: Mapping[str, float | None],
) -> str:
    """The scene with all that networks said of it.

    Args:
        scene: what to show.
        classes: K names.
        palette: K colours.
        opacity: of each class over the picture, 0…1.
        recorded: the mean IoU that each network was scored with.
    """
    tiles = [_given(scene, palette, opacity)]
    tiles += [_said(scene, label, view, palette, opacity) for label, view in scene.views.items()]
    ramp = np.broadcast_to(np.linspace(0, 1, 120, dtype=np.float32), (12, 120))
    return TEMPLATES.get_template("demo.html").render(
        tiles=tiles,
        legend=[(name, css(colour)) for name, colour in zip(classes, palette, strict=True)],
        scale=Shown.of(glow(ramp), "").source,
        truth_known=scene.truth is not None,
        wrong=css(WRONG),
        table=_table(scene, recorded),
    )


def css(colour: Colour) -> str:
    """As a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _given(scene: Scene, palette: Sequence[Colour], opacity: Sequence[float]) -> Tile:
    pictures = [Shown.of(scene.image, f"the picture {scene.name}")]
    if scene.truth is not None:
        truth = blend(scene.image, scene.truth, palette, opacity)
        pictures.append(Shown.of(truth, "its true classes"))
    height, width = scene.image.shape[:2]
    title = "picture" if scene.truth is None else "picture, truth"
    return Tile(title, f"{width}×{height}", pictures)


def _said(
    scene: Scene, label: str, view: View, palette: Sequence[Colour], opacity: Sequence[float]
) -> Tile:
    shown = blend(scene.image, view.labels, palette, opacity)
    pictures = [
        Shown.of(shown, f"classes by {label}"),
        Shown.of(glow(view.entropy), f"entropy of {label}"),
    ]
    if scene.truth is not None:
        wrong = errors(Picture(scene.name, scene.image, scene.truth, view.labels))
        pictures.append(Shown.of(wrong, f"errors of {label}"))
    return Tile(label, f"{1000 * view.seconds:.0f} ms", pictures)


def _table(scene: Scene, recorded: Mapping[str, float | None]) -> Markup:
    first = next(iter(scene.views.values()), None)
    columns = ["network", "ms", "mean entropy", "as the first, %", "accuracy here, %", "mIoU, %"]
    rows = []
    for label, view in scene.views.items():
        alike = None if view is first or first is None else agreement(view.labels, first.labels)
        right = None if scene.truth is None else agreement(view.labels, scene.truth)
        numbers = (f"{1000 * view.seconds:.0f}", f"{view.entropy.mean():.3f}")
        rows.append([label, *numbers, *map(_percent, (alike, right, recorded.get(label)))])
    return page.table(columns, rows, "What each network said of this picture; mIoU as recorded")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"
