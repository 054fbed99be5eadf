"""What follows from the numbers of an audit, worst first."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from fcn_lab.audit.audit import Audit

MUCH_VOID = 0.1
FEW_IMAGES = 5
COPIES = 0.5  # mean IU of a copied label above which frames are near copies of each other
APART = 0.15  # and the difference of it that makes two splits unlike each other
NAMED = 3


class Level(IntEnum):
    """How bad it is."""

    WRONG = 0
    CAREFUL = 1
    KNOWN = 2


@dataclass(frozen=True)
class Finding:
    """One conclusion: what was found, and what it means."""

    level: Level
    title: str
    text: str = ""


Check = Callable[[Audit], Iterator[Finding]]


def findings(audit: Audit) -> list[Finding]:
    """All of them, worst first."""
    found = [finding for check in CHECKS for finding in check(audit)]
    return sorted(found, key=lambda finding: finding.level)


def unreadable(audit: Audit) -> Iterator[Finding]:
    """Files that are not sound."""
    for name, split in audit.data.splits.items():
        if split.faults:
            reasons = [reason.splitlines()[0] for reason in split.faults.values()]
            yield Finding(
                Level.WRONG, f"{name}: {frames(len(reasons))} cannot be read", some(reasons, "; ")
            )


def strange_values(audit: Audit) -> Iterator[Finding]:
    """Colours and ids that no class has."""
    for name, split in audit.data.splits.items():
        if not split.strange:
            continue
        showing = [frame for frame in split.frames if frame.strange]
        worst = max(showing, key=lambda frame: frame.strange.total())
        values = [f"{value} in {count} pixels" for value, count in split.strange.most_common()]
        yield Finding(
            Level.WRONG,
            f"{name}: {split.strange.total()} label pixels in {frames(len(showing))} hold values "
            "of no class",
            f"{some(values)}. Most of them are in {worst.name}.",
        )


def interpolated(audit: Audit) -> Iterator[Finding]:
    """Masks that were resized as pictures are, or saved as JPEG."""
    for name, damage in audit.damage.items():
        worst = sorted(damage.by_class.items(), key=lambda item: -item[1])
        hurt = ", ".join(f"{title} {share:.1%}" for title, share in worst[:NAMED])
        if damage.interpolated:
            yield Finding(
                Level.WRONG,
                f"{name}: the masks look interpolated, {damage.share:.1%} of the pixels are spoilt",
                "At their edges lie values between those of the neighbours, as no hand draws them. "
                f"Estimated loss: {hurt}. Resize labels by the nearest pixel.",
            )


def absent_classes(audit: Audit) -> Iterator[Finding]:
    """Classes that a split does not show, or hardly."""
    for name, split in audit.data.splits.items():
        if not split.frames:
            yield Finding(Level.WRONG, f"{name}: no frame is left")
            continue
        images = dict(zip(audit.data.classes, (split.counts > 0).sum(0), strict=True))
        if absent := [title for title, count in images.items() if count == 0]:
            train = name == "train"
            meaning = "It cannot be learnt." if train else "It drops out of the means."
            level = Level.WRONG if train else Level.CAREFUL
            yield Finding(level, f"{name} never shows {', '.join(absent)}", meaning)
        if rare := [f"{t} ({n})" for t, n in images.items() if 0 < n < FEW_IMAGES]:
            yield Finding(
                Level.CAREFUL,
                f"{name} shows {', '.join(rare)} in fewer than {FEW_IMAGES} images",
                "One image more or less moves its IU by points.",
            )


def much_void(audit: Audit) -> Iterator[Finding]:
    """Splits of which a large part is not scored."""
    for name, split in audit.data.splits.items():
        if split.frames and split.void_share > MUCH_VOID:
            yield Finding(
                Level.CAREFUL,
                f"{name}: {split.void_share:.1%} of the pixels are void",
                "They count nowhere: neither in the loss nor in a score.",
            )


def sizes(audit: Audit) -> Iterator[Finding]:
    """Files of several sizes."""
    stored = Counter(frame.stored for split in audit.data.splits.values() for frame in split.frames)
    if len(stored) > 1:
        shown = [f"{h}x{w} ({count})" for (h, w), count in stored.most_common()]
        yield Finding(
            Level.CAREFUL,
            f"the files have {len(stored)} sizes",
            f"{some(shown)}. All are brought to one size, whatever their shape.",
        )


def duplicates(audit: Audit) -> Iterator[Finding]:
    """Pictures that occur twice."""
    for twins in audit.twins:
        crossing = len(twins.splits) > 1
        labelled = " under different labels" if twins.labels > 1 else ""
        level = Level.WRONG if crossing or twins.labels > 1 else Level.CAREFUL
        yield Finding(
            level,
            f"{some(list(twins.names))} are one picture{labelled}, in {' and '.join(twins.splits)}",
            "What is scored was trained on." if "train" in twins.splits and crossing else "",
        )


def near_copies(audit: Audit) -> Iterator[Finding]:
    """Splits that a copied label solves."""
    scores = {name: rules["previous"]["mean_iou"] for name, rules in audit.copies.items()}
    for name, score in scores.items():
        if score > COPIES:
            yield Finding(
                Level.CAREFUL,
                f"{name}: copying the label of the frame before scores {score:.1%} mean IU",
                "Its frames are near copies of each other: an interval that takes them for "
                "independent is too narrow.",
            )
    for name, rules in audit.copies.items():
        found = rules.get("lookalike")
        if found and found["mean_iou"] > COPIES:
            yield Finding(
                Level.WRONG,
                f"{name}: copying the label of the most similar training picture scores "
                f"{found['mean_iou']:.1%} mean IU",
                "It leaks: training sees almost the same pictures.",
            )
    if {"val", "test"} <= set(scores) and abs(scores["val"] - scores["test"]) > APART:
        yield Finding(
            Level.CAREFUL,
            f"val and test are unlike: copied labels score {scores['val']:.1%} and "
            f"{scores['test']:.1%}",
            "Expect scores to differ as much between them; compare like with like.",
        )


def shared_drives(audit: Audit) -> Iterator[Finding]:
    """Drives that are both trained on and scored, and those that are not."""
    for stretch in audit.stretches:
        if stretch.split == "train":
            continue
        who = f"{stretch.split}: {stretch.drive} ({frames(stretch.count)})"
        if stretch.trained_on:
            around = ", ".join(
                f"{place} {number}"
                for place, number in (("after", stretch.before), ("before", stretch.after))
                if number is not None
            )
            yield Finding(
                Level.CAREFUL,
                f"{who} is a drive that is trained on too, {stretch.nearest} numbers away at the "
                "least",
                f"Its frames {stretch.first}…{stretch.last}"
                + (f" lie {around} of training." if around else " lie among those of training."),
            )
        elif stretch.first is not None:
            yield Finding(Level.KNOWN, f"{who} is a drive that training never sees")


CHECKS: tuple[Check, ...] = (
    unreadable,
    strange_values,
    interpolated,
    absent_classes,
    much_void,
    sizes,
    duplicates,
    near_copies,
    shared_drives,
)


def frames(count: int) -> str:
    """The count in words."""
    return f"{count} frame{'' if count == 1 else 's'}"


def some(items: list[str], separator: str = ", ") -> str:
    """The first few, and how many more."""
    rest = f"{separator}and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return separator.join(items[:NAMED]) + rest
