"""The page's pictures of labels: each class in each drive, rare ones, what findings name."""

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
from fcn_lab.text.terminal import format_percent

# the most pictures of typical frames, all classes and drives together
OVERLAYS_LIMIT = 96
DRIVES_SHOWN = 6
RARE_CLASSES, RARE_EXAMPLES = 4, 4
# the most frames that all findings show together
EVIDENCE_LIMIT = 36


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
    drive_names = list(drives)[:count]
    groups = []
    for k, name in enumerate(classes):
        places = {drive: find_typical(audit.data, k, drives[drive]) for drive in drive_names}
        absent_drives = [drive or "unnamed" for drive, place in places.items() if place is None]
        figures = [
            _draw_overlay(audit, k, drive, place)
            for drive, place in places.items()
            if place is not None
        ]
        note = f"not in {', '.join(absent_drives)}" if figures else "in none of them"
        groups.append(Group(name, note if absent_drives else "", figures))
    if not drives:
        return None
    rest = f", the {count} drives of most frames among {len(drives)}" if len(drives) > count else ""
    if len(classes) < len(audit.data.classes):
        rest += f", and the first {len(classes)} of {len(audit.data.classes)} classes"
    lead = (
        "The pixels of each class, in the frame of each drive that shows the middle share of it "
        f"among those that show any{rest}."
    )
    return Section("Labels", _render(groups, is_narrow=True), lead)


def show_rarest(audit: Audit) -> Section | None:
    """Returns the section with the frames in which the rarest classes are largest."""
    groups = [
        Group(
            audit.data.classes[k],
            f"{format_percent(share, 2)} % of the pixels",
            [
                _draw_example(audit, k, place)
                for place in find_largest(audit.data, k, RARE_EXAMPLES)
            ],
        )
        for k, share in rank_rarest(audit.data)[:RARE_CLASSES]
    ]
    lead = (
        "Where the rarest classes are largest: a part of the picture, and the same under the "
        "colours of its labels with the class outlined in white."
    )
    body = render_legend(audit) + _render(groups)
    return Section("Rarest classes", body, lead) if groups else None


def show_evidence(audit: Audit, findings: Sequence[Finding]) -> list[Markup]:
    """Returns the frames of each finding, picture beside mask, up to the limit."""
    budget, figures = EVIDENCE_LIMIT, []
    for finding in findings:
        frames = finding.frames[:budget]
        budget -= len(frames)
        figures.append(_render([Group("", "", [_draw_witness(audit, frame) for frame in frames])]))
    return figures


def _draw_overlay(audit: Audit, k: int, drive: str, place: Place) -> Figure:
    picture, frame = _open(audit, place.split, place.index)
    mask = audit.data.splits[place.split].labels[place.index] == k
    alt = f"{audit.data.classes[k]} in {frame}"
    overlay = embed_picture(mark_pixels(picture, mask), alt)
    share = format_percent(place.share, 2)
    return Figure([overlay], drive or "unnamed", f"{share} %, {place.split}: {frame}")


def _draw_example(audit: Audit, k: int, place: Place) -> Figure:
    picture, frame = _open(audit, place.split, place.index)
    label = audit.data.splits[place.split].labels[place.index]
    crop = choose_crop(label == k)
    detail = crop_picture(picture, crop, label.shape)
    overlay = lay_over(detail, label[crop], audit.data.palette, k)
    name = audit.data.classes[k]
    pictures = [
        embed_picture(detail, f"{name} in {frame}"),
        embed_picture(overlay, f"its labels, {name} outlined"),
    ]
    return Figure(pictures, frame, f"{place.split}, {format_percent(place.share, 2)} % of it")


def _draw_witness(audit: Audit, evidence: Evidence) -> Figure:
    split = audit.data.splits[evidence.split]
    index = split.places[evidence.frame]
    picture, frame = _open(audit, evidence.split, index)
    label, spoilt_mask = split.labels[index], None
    if evidence.marked == SPOILT:
        spoilt_mask = split.looks[index].open_marks(label.shape)
    elif evidence.marked:
        picture = mark_pixels(picture, label == audit.data.classes.index(evidence.marked))
    pictures = [
        embed_picture(picture, f"the picture {frame}"),
        embed_picture(
            draw_mask(label, audit.data.palette, spoilt_mask), f"the mask of {frame}", is_flat=True
        ),
    ]
    return Figure(pictures, frame, ", ".join(filter(None, (evidence.split, evidence.marked))))


def _open(audit: Audit, split: str, index: int) -> tuple[Pixels, str]:
    part = audit.data.splits[split]
    return part.looks[index].open(), part.frames[index].name


def _render(groups: Sequence[Group], is_narrow: bool = False) -> Markup:
    template = TEMPLATES.get_template("audit_figures.html")
    return Markup(template.render(groups=groups, narrow=is_narrow))


def render_legend(audit: Audit, mark_names: Iterable[str] = ()) -> Markup:
    """Returns the legend: the colours of the classes, of void and of marked pixels."""
    colours = [*zip(audit.data.classes, audit.data.palette, strict=True), ("void", VOID_COLOUR)]
    colours += [(name, MARK) for name in mark_names]
    entries = [(name, format_hex(colour)) for name, colour in colours]
    return Markup(TEMPLATES.get_template("audit_legend.html").render(legend=entries))
