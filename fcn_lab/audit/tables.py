"""The tables of an audit, the same for a terminal and a page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.copying import RULES
from fcn_lab.audit.weights import DEFINITIONS

Cell = str | int | None


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: its heading
        about: what it shows, a sentence or two
        columns: headings
        rows: cells, the first one the row's name; None is shown as a dash
    """

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def sheets(audit: Audit) -> list[Sheet]:
    """All of them; those that have nothing to say are left out."""
    made = (splits, drives, leakage, classes, damage, strange, weights)
    return [sheet for make in made if (sheet := make(audit)).rows]


def splits(audit: Audit) -> Sheet:
    """Frames, sizes and void."""
    rows = []
    for name, split in audit.data.splits.items():
        stored = Counter(frame.stored for frame in split.frames).most_common()
        shown = ", ".join(f"{height}x{width}" for (height, width), _ in stored)
        void = percent(split.void_share) if split.frames else None
        rows.append((name, len(split.frames), shown, len(split.drives), void, len(split.faults)))
    columns = ("split", "frames", "stored size", "drives", "void %", "unreadable")
    return Sheet("Splits", "Void is the share of pixels of no class.", columns, rows)


def drives(audit: Audit) -> Sheet:
    """Where the frames come from, and how far they are from training."""
    about = (
        "Numbers are those in the frames' names; the distance is to the nearest training frame of "
        "the same drive, a dash where training has none."
    )
    columns = ("drive", "split", "frames", "numbers", "step", "nearest", "median distance")
    rows = [
        (
            stretch.drive or "unnamed",
            stretch.split,
            stretch.count,
            None if stretch.first is None else f"{stretch.first}…{stretch.last}",
            stretch.step,
            stretch.nearest,
            None if stretch.median is None else f"{stretch.median:g}",
        )
        for stretch in audit.stretches
    ]
    return Sheet("Drives", about, columns, rows)


def leakage(audit: Audit) -> Sheet:
    """Scores of copied labels."""
    about = "Scores of labels copied without a look at the picture. " + "; ".join(
        f"{rule}: {what}" for rule, what in RULES.items()
    )
    scores = ("mean IU", "G")
    columns = ("copied", *(f"{name} {score} %" for name in audit.copies for score in scores))
    rows = [
        (
            rule,
            *(
                percent(rules[rule][key]) if rule in rules else None
                for rules in audit.copies.values()
                for key in ("mean_iou", "pixel_accuracy")
            ),
        )
        for rule in RULES
    ]
    return Sheet("Leakage", f"{about}.", columns, rows if audit.copies else ())


def classes(audit: Audit) -> Sheet:
    """How much there is of every class."""
    about = "Share of the pixels that are not void, and in brackets the images that show the class."
    names = [name for name, split in audit.data.splits.items() if split.frames]
    found = [audit.data.splits[name] for name in names]
    rows = [
        (
            title,
            *(
                f"{percent(audit.shares(split)[k], 2)} ({int((split.counts[:, k] > 0).sum())})"
                for split in found
            ),
        )
        for k, title in enumerate(audit.data.classes)
    ]
    columns = ("class", *(f"{name} %" for name in names))
    return Sheet("Classes", about, columns, rows if found else ())


def damage(audit: Audit) -> Sheet:
    """What interpolation or strange values took from each class."""
    about = (
        "Spoilt pixels hold a value of no class, or one between their neighbours'; each is counted "
        "for the class of the nearest sound pixel, so that this is an estimate."
    )
    found = audit.damage
    names = [*audit.data.classes, "void"] if found else []
    rows = [(name, *(percent(part.by_class[name]) for part in found.values())) for name in names]
    return Sheet("Damage", about, ("class", *(f"{name} % lost" for name in found)), rows)


def strange(audit: Audit) -> Sheet:
    """The commonest values of no class."""
    rows = [
        (value, name, count, sum(value in frame.strange for frame in split.frames))
        for name, split in audit.data.splits.items()
        for value, count in split.strange.most_common(8)
    ]
    about = "Ids or colours of the label files that the class list does not have; the commonest."
    return Sheet("Values of no class", about, ("value", "split", "pixels", "frames"), rows)


def weights(audit: Audit) -> Sheet:
    """Class weights by each definition."""
    found = audit.weights
    about = "From the training set. " + "; ".join(
        f"{title}: {formula}" for title, (formula, _) in DEFINITIONS.items()
    )
    rows = [
        (name, *(f"{weight[k]:.3f}" for weight in found.values()))
        for k, name in enumerate(audit.data.classes if found else ())
    ]
    return Sheet("Class weights", f"{about}.", ("class", *found), rows)


def percent(value: float, digits: int = 1) -> str:
    """Of a share."""
    return f"{100 * value:.{digits}f}"


def facts(audit: Audit) -> dict[str, object]:
    """What audit.json holds besides the findings: the numbers as they are."""
    names = audit.data.classes
    return {
        "splits": {
            name: {
                "frames": len(split.frames),
                "unreadable": dict(split.faults),
                "void": split.void_share if split.frames else None,
                "strange": dict(split.strange),
                "shares": dict(zip(names, audit.shares(split).tolist(), strict=True)),
            }
            for name, split in audit.data.splits.items()
        },
        "drives": [asdict(stretch) for stretch in audit.stretches],
        "copies": audit.copies,
        "damage": {name: asdict(part) for name, part in audit.damage.items()},
        "twins": [asdict(twins) for twins in audit.twins],
        "weights": {
            title: dict(zip(names, weight.tolist(), strict=True))
            for title, weight in audit.weights.items()
        },
    }
