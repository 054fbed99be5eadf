"""The page's pictures of labels: each class in each drive, rare ones, what is complained of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.drawing import (
    MARK,
    choose_crop,
    crop_picture,
    draw_mask,
    embed_picture,
    lay_over,
    mark_pixels,
)
from fcn_lab.audit.finding import SPOILT, Evidence, Finding
from fcn_lab.audit.selection import Place, find_largest, find_typical, group_drives, rank_rarest
from fcn_lab.data.colours import format_hex
from fcn_lab.pixels import VOID_COLOUR, Pixels
from fcn_lab.rendering.embedding import EmbeddedPicture
from fcn_lab.rendering.html import TEMPLATES, Section
from fcn_lab.terminal import format_percent

OVERLAYS_LIMIT = 96  # of all classes and drives
DRIVES_SHOWN = 6
RARE_CLASSES, RARE_EXAMPLES = 4, 4
EVIDENCE_LIMIT = 36  # frames of all findings


@dataclass(frozen=True)
class Figure:
    """Pictures side by side above a title and a note."""

    pictures: Sequence[EmbeddedPicture]
    title: str
    note: str


@dataclass(frozen=True)
class Group:
    """The figures of one class."""

    title: str
    note: str
    figures: Sequence[Figure]


def show_classes(audit: Audit) -> Section | None:
    """Returns the section with a typical frame of every class in every drive."""
    drives = group_drives(audit.data)
    classes = audit.data.classes[:OVERLAYS_LIMIT]
    count = min(DRIVES_SHOWN, max(1, OVERLAYS_LIMIT // max(1, len(classes))))
    shown = list(drives)[:count]
    groups = []
    for k, name in enumerate(classes):
        places = {drive: find_typical(audit.data, k, drives[drive]) for drive in shown}
        absent = [drive or "unnamed" for drive, place in places.items() if place is None]
        figures = [
            _draw_overlay(audit, k, drive, place)
            for drive, place in places.items()
            if place is not None
        ]
        note = f"not in {', '.join(absent)}" if figures else "in none of them"
        groups.append(Group(name, note if absent else "", figures))
    if not drives:
        return None
    rest = f", the {count} drives of most frames among {len(drives)}" if len(drives) > count else ""
    if len(classes) < len(audit.data.classes):
        rest += f", and the first {len(classes)} of {len(audit.data.classes)} classes"
    lead = (
        "The pixels of each class, in the frame of each drive that shows the middle share of it "
        f"among those that show any{rest}."
    )
    return Section("Labels", _render(groups, narrow=True), lead)


def show_rarest(audit: Audit) -> Section | None:
    """Returns the section with the frames in which the rarest classes are largest."""
    groups = [
        Group(
            audit.data.classes[k],
            f"{format_percent(share, 2)} % of the pixels",
            [_draw_example(audit, k, one) for one in find_largest(audit.data, k, RARE_EXAMPLES)],
        )
        for k, share in rank_rarest(audit.data)[:RARE_CLASSES]
    ]
    lead = (
        "Where the rarest classes are largest: a part of the picture, and the same under the "
        "colours of its labels with the class outlined in white."
    )
    body = render_legend(audit) + _render(groups)
    return Section("Rarest classes", body, lead) if groups else None


def show_evidence(audit: Audit, found: Sequence[Finding]) -> list[Markup]:
    """Returns for each finding its frames, picture beside mask; nothing beyond the limit."""
    left, shown = EVIDENCE_LIMIT, []
    for finding in found:
        frames = finding.frames[:left]
        left -= len(frames)
        shown.append(_render([Group("", "", [_draw_witness(audit, one) for one in frames])]))
    return shown


def _draw_overlay(audit: Audit, k: int, drive: str, place: Place) -> Figure:
    picture, frame = _open(audit, place.split, place.index)
    mask = audit.data.splits[place.split].labels[place.index] == k
    alt = f"{audit.data.classes[k]} in {frame}"
    shown = embed_picture(mark_pixels(picture, mask), alt)
    share = format_percent(place.share, 2)
    return Figure([shown], drive or "unnamed", f"{share} %, {place.split}: {frame}")


def _draw_example(audit: Audit, k: int, place: Place) -> Figure:
    picture, frame = _open(audit, place.split, place.index)
    label = audit.data.splits[place.split].labels[place.index]
    crop = choose_crop(label == k)
    near = crop_picture(picture, crop, label.shape)
    drawn = lay_over(near, label[crop], audit.data.palette, k)
    name = audit.data.classes[k]
    pictures = [
        embed_picture(near, f"{name} in {frame}"),
        embed_picture(drawn, f"its labels, {name} outlined"),
    ]
    return Figure(pictures, frame, f"{place.split}, {format_percent(place.share, 2)} % of it")


def _draw_witness(audit: Audit, one: Evidence) -> Figure:
    split = audit.data.splits[one.split]
    index = split.places[one.frame]
    picture, frame = _open(audit, one.split, index)
    label, spoilt = split.labels[index], None
    if one.marked == SPOILT:
        spoilt = split.looks[index].open_marks(label.shape)
    elif one.marked:
        picture = mark_pixels(picture, label == audit.data.classes.index(one.marked))
    pictures = [
        embed_picture(picture, f"the picture {frame}"),
        embed_picture(
            draw_mask(label, audit.data.palette, spoilt), f"the mask of {frame}", flat=True
        ),
    ]
    return Figure(pictures, frame, ", ".join(filter(None, (one.split, one.marked))))


def _open(audit: Audit, split: str, index: int) -> tuple[Pixels, str]:
    part = audit.data.splits[split]
    return part.looks[index].open(), part.frames[index].name


def _render(groups: Sequence[Group], narrow: bool = False) -> Markup:
    template = TEMPLATES.get_template("audit_figures.html")
    return Markup(template.render(groups=groups, narrow=narrow))


def render_legend(audit: Audit, marked: Iterable[str] = ()) -> Markup:
    """Returns the colours of the classes, of void and of what is marked."""
    colours = [*zip(audit.data.classes, audit.data.palette, strict=True), ("void", VOID_COLOUR)]
    colours += [(name, MARK) for name in marked]
    entries = [(name, format_hex(colour)) for name, colour in colours]
    return Markup(TEMPLATES.get_template("audit_legend.html").render(legend=entries))
