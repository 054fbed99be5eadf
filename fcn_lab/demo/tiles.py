"""Renders a scene as HTML: tiles of pictures, the legend, and a table of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from fcn_lab.data.colours import format_hex
from fcn_lab.demo.views import Scene, View, agreement, blend, colour_values, shrink
from fcn_lab.pixels import Colour, Pixels
from fcn_lab.rendering import html as page
from fcn_lab.rendering.embedding import EmbeddedPicture
from fcn_lab.rendering.html import TEMPLATES
from fcn_lab.rendering.pictures import ERROR_COLOUR, Picture, draw_errors
from fcn_lab.text.terminal import format_duration, format_percent

# pictures of more pixels are sent as JPEG
LOSSLESS_PIXELS = 200_000


@dataclass(frozen=True)
class Tile:
    """Pictures one below the other with a title and a note."""

    title: str
    note: str
    pictures: Sequence[EmbeddedPicture]


@dataclass(frozen=True)
class Record:
    """The facts about a network that its run has recorded.

    Attributes:
        mean_iou: the score of its run.
        protocol: the protocol of that score.
        report: the link to a report; "" where there is none.
    """

    mean_iou: float | None
    protocol: str = ""
    report: str = ""


def render(
    scene: Scene,
    classes: Sequence[str],
    palette: Sequence[Colour],
    opacity: Sequence[float],
    records: Mapping[str, Record],
) -> str:
    """Returns the HTML of a scene with the results of all its networks.

    Args:
        scene: what to show.
        classes: K names.
        palette: K colours.
        opacity: each class's opacity over the picture, 0…1.
        records: what each network's run says of it.
    """
    preview = shrink(scene)
    size = f"{scene.image.shape[1]}×{scene.image.shape[0]}"
    tiles = [_picture_tile(preview, size, palette, opacity)]
    tiles += [
        _network_tile(preview, label, view, palette, opacity)
        for label, view in preview.views.items()
    ]
    ramp = np.broadcast_to(np.linspace(0, 1, 120, dtype=np.float32), (12, 120))
    return TEMPLATES.get_template("demo.html").render(
        tiles=tiles,
        legend=[(name, format_hex(colour)) for name, colour in zip(classes, palette, strict=True)],
        scale=embed_picture(colour_values(ramp), "").source,
        truth_known=scene.truth is not None,
        wrong=format_hex(ERROR_COLOUR),
        table=_score_table(scene, {label: records[label] for label in scene.views}),
        remarks=[view.remark for view in scene.views.values() if view.remark],
    )


def embed_picture(pixels: Pixels, alt: str) -> EmbeddedPicture:
    """Encodes pixels (H,W,3) as a data URL: PNG, or for large pictures JPEG with whole colours."""
    if pixels.shape[0] * pixels.shape[1] <= LOSSLESS_PIXELS:
        return EmbeddedPicture.encode(pixels, alt, "png", compress_level=1)
    return EmbeddedPicture.encode(pixels, alt, "jpeg", quality=90, subsampling=0)


def _picture_tile(
    scene: Scene, size: str, palette: Sequence[Colour], opacity: Sequence[float]
) -> Tile:
    pictures = [embed_picture(scene.image, f"the picture {scene.name}")]
    if scene.truth is not None:
        truth = blend(scene.image, scene.truth, palette, opacity)
        pictures.append(embed_picture(truth, "its true classes"))
    return Tile("picture" if scene.truth is None else "picture, truth", size, pictures)


def _network_tile(
    scene: Scene, label: str, view: View, palette: Sequence[Colour], opacity: Sequence[float]
) -> Tile:
    overlay = blend(scene.image, view.labels, palette, opacity)
    pictures = [
        embed_picture(overlay, f"classes by {label}"),
        embed_picture(colour_values(view.entropy), f"entropy of {label}"),
    ]
    if scene.truth is not None:
        errors = draw_errors(Picture(scene.name, scene.image, scene.truth, view.labels))
        pictures.append(embed_picture(errors, f"errors of {label}"))
    return Tile(label, format_duration(view.seconds), pictures)


def _score_table(scene: Scene, records: Mapping[str, Record]) -> Markup:
    is_one_protocol = len({record.protocol for record in records.values()}) < 2
    has_reports = any(record.report for record in records.values())
    columns = ["network", "time", "mean entropy", "as the first, %", "accuracy here, %"]
    columns += ["mean IoU, %"] * is_one_protocol + ["report"] * has_reports
    first = next(iter(scene.views.values()), None)
    rows = []
    for label, view in scene.views.items():
        share = None if view is first or first is None else agreement(view.labels, first.labels)
        accuracy = None if scene.truth is None else agreement(view.labels, scene.truth)
        row: list[object] = [label, format_duration(view.seconds), f"{view.mean_entropy:.3f}"]
        row += [format_percent(share), format_percent(accuracy)]
        row += [format_percent(records[label].mean_iou)] * is_one_protocol
        row += [_link_report(records[label].report)] * has_reports
        rows.append(row)
    note = (
        "mean IoU as recorded"
        if is_one_protocol
        else "they were scored by different protocols, so their mean IoU is not compared"
    )
    caption = f"What each network said of this picture; {note}"
    return page.render_table(columns, rows, caption)


def _link_report(link: str) -> Markup | None:
    # the report opens in a page of its own, so that this one keeps its picture
    anchor = Markup('<a href="{}" target="_blank" rel="noopener">open</a>')
    return anchor.format(link) if link else None
