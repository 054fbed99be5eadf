"""What is wrong with the files of a data set, or with what its labels show."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.facts import FrameFacts, SplitFacts
from fcn_lab.audit.finding import (
    ITEMS_SHOWN,
    SPOILT,
    Evidence,
    Finding,
    Level,
)
from fcn_lab.data.classes import is_void
from fcn_lab.data.packs.sizes import OWN_SIZE
from fcn_lab.text.terminal import format_count, format_percent, shorten_list

VOID_SHARE_LIMIT = 0.1
RARE_CLASS_IMAGES = 5


def check_files(audit: Audit) -> Iterator[Finding]:
    """Reports files that cannot be read."""
    for name, split in audit.data.splits.items():
        if split.faults:
            reasons = [reason.splitlines()[0] for reason in split.faults.values()]
            yield Finding(
                Level.WRONG,
                f"{name}: {format_count(len(reasons), 'frame')} cannot be read",
                shorten_list(reasons, ITEMS_SHOWN, "; "),
            )


def check_strange_values(audit: Audit) -> Iterator[Finding]:
    """Reports colours and ids that belong to no class."""
    for name, split in audit.data.splits.items():
        if not split.strange_values:
            continue
        frames = [frame for frame in split.frames if frame.strange_values]
        evidence = _find_worst(name, split, lambda frame: frame.strange_values.total(), SPOILT)
        values = [
            f"{value} in {format_count(count, 'pixel')}"
            for value, count in split.strange_values.most_common()
        ]
        yield Finding(
            Level.WRONG,
            f"{name}: {split.strange_values.total()} label pixels "
            f"in {format_count(len(frames), 'frame')} hold values of no class",
            f"{shorten_list(values, ITEMS_SHOWN)}. Most of them are in {evidence[0].frame}.",
            evidence,
        )


def check_interpolation(audit: Audit) -> Iterator[Finding]:
    """Reports masks that were resized as pictures are, or saved as JPEG."""
    for name, damage in audit.damage.items():
        shares = sorted(damage.by_class.items(), key=lambda item: -item[1])
        losses = ", ".join(
            f"{title} {format_percent(share)} %" for title, share in shares[:ITEMS_SHOWN]
        )
        if damage.interpolated:
            yield Finding(
                Level.WRONG,
                f"{name}: the masks look interpolated, {format_percent(damage.share)} % of the "
                "pixels are spoilt",
                "At their edges lie values between those of the neighbours, as no hand draws them. "
                f"Estimated loss: {losses}. Resize labels by the nearest pixel.",
                _find_worst(
                    name, audit.data.splits[name], lambda frame: frame.spoilt_count, SPOILT
                ),
            )


def check_absent_classes(audit: Audit) -> Iterator[Finding]:
    """Reports classes that a split never shows, or in few images."""
    for name, split in audit.data.splits.items():
        if not split.frames:
            yield Finding(Level.WRONG, f"{name}: no frame is left")
            continue
        images = dict(zip(audit.data.classes, (split.counts > 0).sum(0), strict=True))
        # of a set that keeps void among its classes
        absent_classes = [t for t, n in images.items() if n == 0 and not is_void(t)]
        if absent_classes:
            train = name == "train"
            meaning = "It cannot be learnt." if train else "It drops out of the means."
            level = Level.WRONG if train else Level.CAREFUL
            yield Finding(level, f"{name} never shows {', '.join(absent_classes)}", meaning)
        if rare_classes := [f"{t} ({n})" for t, n in images.items() if 0 < n < RARE_CLASS_IMAGES]:
            yield Finding(
                Level.CAREFUL,
                f"{name} shows {', '.join(rare_classes)} in fewer than {RARE_CLASS_IMAGES} images",
                "One image more or less moves its IoU by points.",
                tuple(_show_rare(audit, name, images)),
            )


def _show_rare(audit: Audit, name: str, images: Mapping[str, int]) -> Iterator[Evidence]:
    """Yields, for each class that few images show, the image that shows most of it."""
    split = audit.data.splits[name]
    for k, (title, count) in enumerate(images.items()):
        if 0 < count < RARE_CLASS_IMAGES:
            yield Evidence(name, split.frames[int(split.counts[:, k].argmax())].name, title)


def check_void(audit: Audit) -> Iterator[Finding]:
    """Reports splits of which a large share is void."""
    for name, split in audit.data.splits.items():
        if split.frames and split.void_share > VOID_SHARE_LIMIT:
            yield Finding(
                Level.CAREFUL,
                f"{name}: {format_percent(split.void_share)} % of the pixels are void",
                "They count nowhere: neither in the loss nor in a score.",
                _find_worst(name, split, lambda frame: frame.void),
            )


def check_sizes(audit: Audit) -> Iterator[Finding]:
    """Reports files of several sizes."""
    size_counts = Counter(
        frame.stored_size for split in audit.data.splits.values() for frame in split.frames
    )
    if len(size_counts) > 1:
        sizes = [f"{h}x{w} ({count})" for (h, w), count in size_counts.most_common()]
        yield Finding(
            Level.CAREFUL,
            f"the files have {len(size_counts)} sizes",
            f"{shorten_list(sizes, ITEMS_SHOWN)}. {_describe_target(audit)}",
        )


def _describe_target(audit: Audit) -> str:
    """Returns a sentence on what the lab makes of files of several sizes."""
    field = audit.data.protocol.partition("-void_ignored-")[0].rpartition("-")[2]
    if field == OWN_SIZE:
        return "Each is trained on and scored at its own; data.size= brings all to one."
    size, _, way = field.partition("_")
    if way:
        return f"All are brought to {size}, their shapes kept (data.resize={way})."
    return f"All are stretched to {size}, whatever their shape; data.resize=fit keeps it."


def _find_worst(
    name: str, split: SplitFacts, measure: Callable[[FrameFacts], float], mark: str = ""
) -> tuple[Evidence, ...]:
    """Returns the frames of a split with the largest measure."""
    frames = sorted(split.frames, key=measure, reverse=True)[:ITEMS_SHOWN]
    return tuple(Evidence(name, frame.name, mark) for frame in frames if measure(frame))


CHECKS = (
    check_files,
    check_strange_values,
    check_interpolation,
    check_absent_classes,
    check_void,
    check_sizes,
)
