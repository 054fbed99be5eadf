"""The conclusions from the numbers of an audit, worst first."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from fcn_lab.audit.audit import Audit
from fcn_lab.data.packs.sizes import OWN_SIZE

VOID_SHARE_LIMIT = 0.1
RARE_CLASS_IMAGES = 5
# mean IoU of a copied label above which frames count as near copies of each other
COPY_IOU_LIMIT = 0.5
# difference of that mean IoU above which two splits count as unlike
IOU_GAP_LIMIT = 0.15
ITEMS_SHOWN = 3


class Level(IntEnum):
    """The severity of a finding; the lowest value is the worst."""

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


def collect_findings(audit: Audit) -> list[Finding]:
    """Returns the findings of all checks, worst first."""
    found = [finding for check in CHECKS for finding in check(audit)]
    return sorted(found, key=lambda finding: finding.level)


def check_files(audit: Audit) -> Iterator[Finding]:
    """Reports files that cannot be read."""
    for name, split in audit.data.splits.items():
        if split.faults:
            reasons = [reason.splitlines()[0] for reason in split.faults.values()]
            yield Finding(
                Level.WRONG,
                f"{name}: {format_frame_count(len(reasons))} cannot be read",
                shorten_items(reasons, "; "),
            )


def check_strange_values(audit: Audit) -> Iterator[Finding]:
    """Reports colours and ids that belong to no class."""
    for name, split in audit.data.splits.items():
        if not split.strange:
            continue
        showing = [frame for frame in split.frames if frame.strange]
        worst = max(showing, key=lambda frame: frame.strange.total())
        values = [f"{value} in {count} pixels" for value, count in split.strange.most_common()]
        yield Finding(
            Level.WRONG,
            f"{name}: {split.strange.total()} label pixels "
            f"in {format_frame_count(len(showing))} hold values of no class",
            f"{shorten_items(values)}. Most of them are in {worst.name}.",
        )


def check_interpolation(audit: Audit) -> Iterator[Finding]:
    """Reports masks that were resized as pictures are, or saved as JPEG."""
    for name, damage in audit.damage.items():
        worst = sorted(damage.by_class.items(), key=lambda item: -item[1])
        hurt = ", ".join(f"{title} {share:.1%}" for title, share in worst[:ITEMS_SHOWN])
        if damage.interpolated:
            yield Finding(
                Level.WRONG,
                f"{name}: the masks look interpolated, {damage.share:.1%} of the pixels are spoilt",
                "At their edges lie values between those of the neighbours, as no hand draws them. "
                f"Estimated loss: {hurt}. Resize labels by the nearest pixel.",
            )


def check_absent_classes(audit: Audit) -> Iterator[Finding]:
    """Reports classes that a split never shows, or in few images."""
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
        if rare := [f"{t} ({n})" for t, n in images.items() if 0 < n < RARE_CLASS_IMAGES]:
            yield Finding(
                Level.CAREFUL,
                f"{name} shows {', '.join(rare)} in fewer than {RARE_CLASS_IMAGES} images",
                "One image more or less moves its IoU by points.",
            )


def check_void(audit: Audit) -> Iterator[Finding]:
    """Reports splits of which a large share is void."""
    for name, split in audit.data.splits.items():
        if split.frames and split.void_share > VOID_SHARE_LIMIT:
            yield Finding(
                Level.CAREFUL,
                f"{name}: {split.void_share:.1%} of the pixels are void",
                "They count nowhere: neither in the loss nor in a score.",
            )


def check_sizes(audit: Audit) -> Iterator[Finding]:
    """Reports files of several sizes."""
    stored = Counter(frame.stored for split in audit.data.splits.values() for frame in split.frames)
    if len(stored) > 1:
        shown = [f"{h}x{w} ({count})" for (h, w), count in stored.most_common()]
        yield Finding(
            Level.CAREFUL,
            f"the files have {len(stored)} sizes",
            f"{shorten_items(shown)}. {_describe_target(audit)}",
        )


def _describe_target(audit: Audit) -> str:
    """Returns what becomes of files of several sizes."""
    field = audit.data.protocol.partition("-void_ignored-")[0].rpartition("-")[2]
    if field == OWN_SIZE:
        return "Each is trained on and scored at its own; data.size= brings all to one."
    size, _, way = field.partition("_")
    if way:
        return f"All are brought to {size}, their shapes kept (data.resize={way})."
    return f"All are stretched to {size}, whatever their shape; data.resize=fit keeps it."


def check_duplicates(audit: Audit) -> Iterator[Finding]:
    """Reports pictures that occur more than once."""
    for twins in audit.twins:
        crossing = len(twins.splits) > 1
        labelled = " under different labels" if twins.labels > 1 else ""
        level = Level.WRONG if crossing or twins.labels > 1 else Level.CAREFUL
        yield Finding(
            level,
            f"{shorten_items(list(twins.names))} are one picture{labelled}, "
            f"in {' and '.join(twins.splits)}",
            "What is scored was trained on." if "train" in twins.splits and crossing else "",
        )


def check_near_copies(audit: Audit) -> Iterator[Finding]:
    """Reports splits in which a copied label reaches a high mean IoU."""
    scores = {name: rules["previous"]["mean_iou"] for name, rules in audit.copy_scores.items()}
    for name, score in scores.items():
        if score > COPY_IOU_LIMIT:
            yield Finding(
                Level.CAREFUL,
                f"{name}: copying the label of the frame before scores {score:.1%} mean IoU",
                "Its frames are near copies of each other: an interval that takes them for "
                "independent is too narrow.",
            )
    for name, rules in audit.copy_scores.items():
        found = rules.get("lookalike")
        if found and found["mean_iou"] > COPY_IOU_LIMIT:
            yield Finding(
                Level.WRONG,
                f"{name}: copying the label of the most similar training picture scores "
                f"{found['mean_iou']:.1%} mean IoU",
                "It leaks: training sees almost the same pictures.",
            )
    if {"val", "test"} <= set(scores) and abs(scores["val"] - scores["test"]) > IOU_GAP_LIMIT:
        yield Finding(
            Level.CAREFUL,
            f"val and test are unlike: copied labels score {scores['val']:.1%} and "
            f"{scores['test']:.1%}",
            "Expect scores to differ as much between them; compare like with like.",
        )


def check_shared_drives(audit: Audit) -> Iterator[Finding]:
    """Reports drives that are both trained on and scored, and those that are not."""
    for span in audit.drive_spans:
        if span.split == "train":
            continue
        who = f"{span.split}: {span.drive} ({format_frame_count(span.count)})"
        if span.trained_on:
            around = ", ".join(
                f"{place} {number}"
                for place, number in (("after", span.before), ("before", span.after))
                if number is not None
            )
            yield Finding(
                Level.CAREFUL,
                f"{who} is a drive that is trained on too, {span.nearest} numbers away at the "
                "least",
                f"Its frames {span.first}…{span.last}"
                + (f" lie {around} of training." if around else " lie among those of training."),
            )
        elif span.first is not None:
            yield Finding(Level.KNOWN, f"{who} is a drive that training never sees")


CHECKS: tuple[Check, ...] = (
    check_files,
    check_strange_values,
    check_interpolation,
    check_absent_classes,
    check_void,
    check_sizes,
    check_duplicates,
    check_near_copies,
    check_shared_drives,
)


def format_frame_count(count: int) -> str:
    """Returns the count with its unit, as in "1 frame" or "3 frames"."""
    return f"{count} frame{'' if count == 1 else 's'}"


def shorten_items(items: list[str], separator: str = ", ") -> str:
    """Returns the first items in a line, and how many more there are."""
    rest = f"{separator}and {len(items) - ITEMS_SHOWN} more" if len(items) > ITEMS_SHOWN else ""
    return separator.join(items[:ITEMS_SHOWN]) + rest
