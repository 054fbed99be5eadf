"""What frames copy from each other, within a split and from training."""

from collections.abc import Iterator

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.copying import find_previous
from fcn_lab.audit.finding import (
    ITEMS_SHOWN,
    Evidence,
    Finding,
    Level,
)
from fcn_lab.audit.positions import DriveSpan, find_nearest
from fcn_lab.text.terminal import format_count, format_percent, shorten_list

# mean IoU of a copied label above which frames count as near copies of each other
COPY_IOU_LIMIT = 0.5
# difference of that mean IoU above which two splits count as unlike
IOU_GAP_LIMIT = 0.15


def check_duplicates(audit: Audit) -> Iterator[Finding]:
    """Reports pictures that occur more than once."""
    for twins in audit.twins:
        # a frame that two lists name, such as val and a part of it
        if len({*twins.names}) == twins.labels == 1 and "train" not in twins.splits:
            continue
        crossing = len(twins.splits) > 1
        addition = " under different labels" if twins.labels > 1 else ""
        level = Level.WRONG if crossing or twins.labels > 1 else Level.CAREFUL
        yield Finding(
            level,
            f"{shorten_list(twins.names, ITEMS_SHOWN)} are one picture{addition}, "
            f"in {' and '.join(twins.splits)}",
            "What is scored was trained on." if "train" in twins.splits and crossing else "",
            tuple(map(Evidence, twins.split_of, twins.names))[:ITEMS_SHOWN],
        )


def check_near_copies(audit: Audit) -> Iterator[Finding]:
    """Reports splits in which a copied label reaches a high mean IoU."""
    scores = {
        name: rules["previous"]["mean_iou"]
        for name, rules in audit.copy_scores.items()
        if "previous" in rules
    }
    for name, score in scores.items():
        if score > COPY_IOU_LIMIT:
            yield Finding(
                Level.CAREFUL,
                f"{name}: copying the label of the frame before scores {format_percent(score)} % "
                "mean IoU",
                "Its frames are near copies of each other: an interval that takes them for "
                "independent is too narrow.",
                _show_middle(audit, name),
            )
    for name, rules in audit.copy_scores.items():
        lookalike_scores = rules.get("lookalike")
        if lookalike_scores and lookalike_scores["mean_iou"] > COPY_IOU_LIMIT:
            yield Finding(
                Level.WRONG,
                f"{name}: copying the label of the most similar training picture scores "
                f"{format_percent(lookalike_scores['mean_iou'])} % mean IoU",
                "It leaks: training sees almost the same pictures.",
                _show_lookalike(audit, name),
            )
    if {"val", "test"} <= set(scores) and abs(scores["val"] - scores["test"]) > IOU_GAP_LIMIT:
        yield Finding(
            Level.CAREFUL,
            f"val and test are unlike: copied labels score {format_percent(scores['val'])} % and "
            f"{format_percent(scores['test'])} %",
            "Expect scores to differ as much between them; compare like with like.",
        )


def check_shared_drives(audit: Audit) -> Iterator[Finding]:
    """Reports which of the scored drives are also trained on, and which are not."""
    for span in audit.drive_spans:
        # frames whose names are only numbers, such as photos, are no drive
        if span.split == "train" or not span.drive:
            continue
        # nor are those that are stated to stand alone
        frames = audit.data.splits[span.split].drives[span.drive]
        if all(frame.drive == frame.name for frame in frames):
            continue
        subject = f"{span.split}: {span.drive} ({format_count(span.count, 'frame')})"
        if span.nearest is not None:
            bounds = ", ".join(
                f"{side} {number}"
                for side, number in (("after", span.before), ("before", span.after))
                if number is not None
            )
            place = f"Its frames {span.first}…{span.last} lie"
            if span.first == span.last:
                place = f"Its frame {span.first} lies"
            yield Finding(
                Level.CAREFUL,
                f"{subject} is a drive that is trained on too, "
                f"{format_count(span.nearest, 'number')} away at the least",
                f"{place} {f'{bounds} of' if bounds else 'among those of'} training.",
                _show_nearest(audit, span),
            )
        elif span.first is not None:
            yield Finding(Level.KNOWN, f"{subject} is a drive that training never sees")


def _show_middle(audit: Audit, name: str) -> tuple[Evidence, ...]:
    """Returns the frame in the middle of a split and the one whose label it would copy."""
    split = audit.data.splits[name]
    middle = len(split.frames) // 2
    indices = (int(find_previous(split)[middle]), middle)
    return tuple(Evidence(name, split.frames[index].name) for index in indices)


def _show_lookalike(audit: Audit, name: str) -> tuple[Evidence, ...]:
    """Returns the training frame that is most like a frame of the split, and that frame."""
    frame_index, train_index, _ = audit.closest_frames[name][0]
    train, split = audit.data.splits["train"], audit.data.splits[name]
    return (
        Evidence("train", train.frames[train_index].name),
        Evidence(name, split.frames[frame_index].name),
    )


def _show_nearest(audit: Audit, span: DriveSpan) -> tuple[Evidence, ...]:
    """Returns the training frame and the frame of the split whose numbers are nearest."""
    train_frames, split_frames = (
        {
            frame.number: frame.name
            for frame in audit.data.splits[name].drives[span.drive]
            if frame.number is not None
        }
        for name in ("train", span.split)
    )
    train_numbers = sorted(train_frames)
    number = min(split_frames, key=lambda n: abs(n - find_nearest(n, train_numbers)))
    return (
        Evidence("train", train_frames[find_nearest(number, train_numbers)]),
        Evidence(span.split, split_frames[number]),
    )


CHECKS = (check_duplicates, check_near_copies, check_shared_drives)
