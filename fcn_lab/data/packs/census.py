"""Counts what label files hold besides the colours of classes, and refuses too much of it.

A colour of no class becomes void. Where it has more than a few pixels the labels are refused, since
they were probably resized as pictures are, or saved as JPEG.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn_lab.data.colour_labels import ColourLabels
from fcn_lab.data.label_codecs import LabelCodec
from fcn_lab.data.packs.checksums import digest_states
from fcn_lab.data.packs.decode import decode_label, open_mask
from fcn_lab.data.packs.sealed import recall, remember
from fcn_lab.data.pictures.unreadable import Limit
from fcn_lab.errors import UserError
from fcn_lab.runs.processor import count_bound_cores
from fcn_lab.text.commands import format_operand, quote
from fcn_lab.text.terminal import format_count, report_progress, shorten_list

STRANGE_SHARE_LIMIT = 1e-4
_CODE = "import sys; from PIL import Image; print(sorted({}))".format(
    "Image.open(sys.argv[1]).convert('RGB').getcolors(1 << 24)"
)
_log = logging.getLogger(__name__)


@dataclass
class Census:
    """Counts of the label files: strange colours, all pixels, and those of the worst frame."""

    strange_values: Counter[str] = field(default_factory=Counter)
    pixel_count: int = 0
    # the number of strange pixels, and the number of the frame
    worst_frame: tuple[int, int] = (0, 0)

    def add(self, number: int, strange_values: Counter[str], pixel_count: int) -> None:
        """Adds what was found in the label of one frame."""
        frame = strange_values.total(), number
        self.merge(Census(strange_values, pixel_count, frame))

    def merge(self, other: "Census") -> None:
        """Adds what was found in other frames."""
        self.strange_values.update(other.strange_values)
        self.pixel_count += other.pixel_count
        self.worst_frame = max(self.worst_frame, other.worst_frame)

    def to_plain(self) -> dict[str, Any]:
        """Returns the counts in words and numbers, for a file."""
        return {
            "strange": dict(self.strange_values),
            "stored": self.pixel_count,
            "worst": list(self.worst_frame),
        }

    @classmethod
    def from_plain(cls, content: dict[str, Any]) -> "Census":
        """Returns the census that ``to_plain`` made this content of."""
        count, number = content["worst"]
        return cls(Counter(content["strange"]), content["stored"], (count, number))


def judge_strange(census: Census, label_of: Callable[[int], Path]) -> None:
    """Refuses labels with too many pixels of no class.

    Args:
        census: the counts of these labels.
        label_of: returns the label file of a frame by its number.

    Raises:
        UserError: there are too many; the message has the commonest colours and the worst file.
    """
    count = census.strange_values.total()
    if count > STRANGE_SHARE_LIMIT * census.pixel_count:
        file = format_operand(label_of(census.worst_frame[1]))
        raise UserError(
            f"{count / census.pixel_count:.2%} of the label pixels have colours of no class, "
            f"expected at most {STRANGE_SHARE_LIMIT:.2%} (were labels resized, or saved as JPEG?): "
            f"{_describe(census.strange_values)}.\n"
            f'Most are in {file}; to look: python -c "{_CODE}" {quote(file)}'
        )


def warn_of_strange(split: str, counts: dict[str, int]) -> None:
    """Logs which colours of no class became void."""
    if counts:
        _log.warning("%s: colours of no class became void: %s", split, _describe(counts))


def judge_labels(
    split: str, labels: Sequence[Path], codec: LabelCodec, cache: Path, limit: Limit
) -> None:
    """Reads the labels of a split that is not packed, and judges them as packing does.

    The counts are kept beside the packs until a label file changes. Ids of no class need no
    counting: they are refused when their frame is read.

    Raises:
        UserError: too many pixels are of no class, or a file is not sound.
    """
    if not isinstance(codec, ColourLabels):
        return
    state = hashlib.sha256(f"{codec.key()} {digest_states(labels)}".encode()).hexdigest()[:24]
    record = cache / "sources" / f"strange-{state}.json"
    try:
        census = Census.from_plain(recall(record))
    except (ValueError, TypeError, KeyError):
        census = _count_strange(split, labels, codec, limit)
        remember(record, census.to_plain())
    judge_strange(census, labels.__getitem__)
    warn_of_strange(split, census.strange_values)


def _count_strange(split: str, labels: Sequence[Path], codec: LabelCodec, limit: Limit) -> Census:
    def count(path: Path) -> tuple[Counter[str], int]:
        ids, strange_values = decode_label(path, open_mask(path, limit), codec)
        return strange_values, ids.size

    census, pool = Census(), ThreadPoolExecutor(count_bound_cores())
    try:
        results = report_progress(pool.map(count, labels), len(labels), f"judging {split}")
        for number, result in enumerate(results):
            census.add(number, *result)
    finally:
        pool.shutdown(cancel_futures=True)
    return census


def _describe(counts: dict[str, int]) -> str:
    """Returns the most frequent strange colours with their pixel counts, in words."""
    ranking = Counter(counts).most_common()
    return shorten_list(
        [f"{colour} in {format_count(count, 'pixel')}" for colour, count in ranking], 5
    )
