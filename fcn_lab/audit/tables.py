"""The tables of an audit, the same for a terminal and a page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.copying import RULES
from fcn_lab.audit.weights import DEFINITIONS
from fcn_lab.text.terminal import format_percent, shorten_list

Cell = str | int | None

# how many sizes of a split are named, the commonest
SIZES_SHOWN = 4


@dataclass(frozen=True)
class AuditTable:
    """A table that the terminal and the page show alike.

    Attributes:
        title: its heading.
        lead: what it shows, a sentence or two.
        columns: headings.
        rows: cells, the first one the row's name; None is shown as a dash.
    """

    title: str
    lead: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def build_tables(audit: Audit) -> list[AuditTable]:
    """Returns the audit's tables that have rows."""
    makers = (
        tabulate_splits,
        tabulate_drives,
        tabulate_leakage,
        tabulate_classes,
        tabulate_damage,
        tabulate_strange_values,
        tabulate_weights,
    )
    return [table for make in makers if (table := make(audit)).rows]


def tabulate_splits(audit: Audit) -> AuditTable:
    """Returns frames, stored sizes, drives and void share of each split."""
    rows = []
    for name, split in audit.data.splits.items():
        size_counts = Counter(frame.stored_size for frame in split.frames).most_common()
        sizes = [f"{height}x{width}" for (height, width), _ in size_counts]
        listing = shorten_list(sizes, SIZES_SHOWN)
        void = format_percent(split.void_share) if split.frames else None
        rows.append((name, len(split.frames), listing, len(split.drives), void, len(split.faults)))
    columns = ("split", "frames", "stored size", "drives", "void %", "unreadable")
    return AuditTable("Splits", "Void is the share of pixels of no class.", columns, rows)


def tabulate_drives(audit: Audit) -> AuditTable:
    """Returns the drives of each split and their distance to training frames."""
    lead = (
        "Numbers are those in the frames' names; the distance is to the nearest training frame of "
        "the same drive, a dash where training has none."
    )
    columns = ("drive", "split", "frames", "numbers", "step", "nearest", "median distance")
    rows = [
        (
            span.drive or "unnamed",
            span.split,
            span.count,
            None if span.first is None else f"{span.first}…{span.last}",
            span.step,
            span.nearest,
            None if span.median is None else f"{span.median:g}",
        )
        for span in audit.drive_spans
    ]
    return AuditTable("Drives", lead, columns, rows)


def tabulate_leakage(audit: Audit) -> AuditTable:
    """Returns the scores of copied labels by rule and split."""
    lead = "Scores of labels copied without a look at the picture. " + "; ".join(
        f"{rule}: {meaning}" for rule, meaning in RULES.items()
    )
    scores = ("mean IoU", "pixel accuracy")
    columns = ("copied", *(f"{name} {score} %" for name in audit.copy_scores for score in scores))
    rows = [
        (
            rule,
            *(
                format_percent(rules[rule][key]) if rule in rules else None
                for rules in audit.copy_scores.values()
                for key in ("mean_iou", "pixel_accuracy")
            ),
        )
        for rule in RULES
    ]
    return AuditTable("Leakage", f"{lead}.", columns, rows if audit.copy_scores else ())


def tabulate_classes(audit: Audit) -> AuditTable:
    """Returns each class's share of the pixels, and in brackets the images that show it."""
    lead = "Share of the pixels that are not void, and in brackets the images that show the class."
    names = [name for name, split in audit.data.splits.items() if split.frames]
    splits = [audit.data.splits[name] for name in names]
    rows = [
        (
            title,
            *(
                f"{format_percent(audit.shares(split)[k], 2)} "
                f"({int((split.counts[:, k] > 0).sum())})"
                for split in splits
            ),
        )
        for k, title in enumerate(audit.data.classes)
    ]
    columns = ("class", *(f"{name} %" for name in names))
    return AuditTable("Classes", lead, columns, rows if splits else ())


def tabulate_damage(audit: Audit) -> AuditTable:
    """Returns the share of each class's pixels that was lost to wrong values."""
    lead = (
        "Spoilt pixels hold a value of no class, or one between their neighbours'; each is counted "
        "for the class of the nearest sound pixel, so that this is an estimate."
    )
    damage = audit.damage
    names = [*audit.data.classes, "void"] if damage else []
    rows = [
        (name, *(format_percent(part.by_class[name]) for part in damage.values())) for name in names
    ]
    return AuditTable("Damage", lead, ("class", *(f"{name} % lost" for name in damage)), rows)


def tabulate_strange_values(audit: Audit) -> AuditTable:
    """Returns the most frequent values of no class, by split."""
    rows = [
        (value, name, count, sum(value in frame.strange_values for frame in split.frames))
        for name, split in audit.data.splits.items()
        for value, count in split.strange_values.most_common(8)
    ]
    lead = "Ids or colours of the label files that the class list does not have; the commonest."
    return AuditTable("Values of no class", lead, ("value", "split", "pixels", "frames"), rows)


def tabulate_weights(audit: Audit) -> AuditTable:
    """Returns the class weights by each definition."""
    weights = audit.weights
    lead = "From the training set. " + "; ".join(
        f"{title}: {formula}" for title, (formula, _) in DEFINITIONS.items()
    )
    rows = [
        (name, *(f"{weight[k]:.3f}" for weight in weights.values()))
        for k, name in enumerate(audit.data.classes if weights else ())
    ]
    return AuditTable("Class weights", f"{lead}.", ("class", *weights), rows)


def collect_numbers(audit: Audit) -> dict[str, object]:
    """Returns the numbers that audit.json holds besides the findings."""
    names = audit.data.classes
    return {
        "splits": {
            name: {
                "frames": len(split.frames),
                "unreadable": dict(split.faults),
                "void": split.void_share if split.frames else None,
                "strange": dict(split.strange_values),
                "shares": dict(zip(names, audit.shares(split).tolist(), strict=True)),
            }
            for name, split in audit.data.splits.items()
        },
        "drives": [asdict(span) for span in audit.drive_spans],
        "copies": audit.copy_scores,
        "damage": {name: asdict(part) for name, part in audit.damage.items()},
        "twins": [asdict(twins) for twins in audit.twins],
        "weights": {
            title: dict(zip(names, weight.tolist(), strict=True))
            for title, weight in audit.weights.items()
        },
    }
