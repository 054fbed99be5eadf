"""The folder of a sweep on the command line: named after its words, or standing for them."""

import re
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from fcn_lab.cli.paths import find_path
from fcn_lab.errors import UserError
from fcn_lab.runs.names import SWEEP_RECORD
from fcn_lab.runs.records import DamagedFile, read_json
from fcn_lab.sweeps.recorded_command import read_command
from fcn_lab.text.commands import format_command

# beginnings of words that say how a sweep is run, and not what it varies
_SWEEP_PREFIXES = ("sweep.", "hydra.", "hydra/", "allow=")


def add_sweep_folder(
    words: Sequence[str], overrides: Sequence[str], folders: Sequence[Path]
) -> list[str]:
    """Returns a sweep's overrides with its folder, or with the command that its folder stands for.

    Args:
        words: the overrides as they were typed.
        overrides: the same in Hydra's grammar.
        folders: the folders of the words.

    Raises:
        UserError: the folder's record is damaged, or asks for more than words and values.
    """
    folder = find_path("sweep.dir", words) or find_path("hydra.sweep.dir", words)
    command = sorted(word for word in words if not word.lstrip("+~").startswith(_SWEEP_PREFIXES))
    if folder is None:
        kind = find_path("experiment", words) or "-".join(
            key for key, _, value in (word.partition("=") for word in command) if "," in value
        )
        stem = re.sub(r"[^\w.-]+", "-", kind)[:60] or "sweep"
        name = f"{stem}-{sha256(repr(command).encode()).hexdigest()[:8]}"
        overrides = _order_as_recorded(overrides, Path("multirun", name, SWEEP_RECORD))
        return [*overrides, f"hydra.sweep.dir=multirun/{name}"]
    record = Path(folder) / SWEEP_RECORD
    if not command and record.is_file():
        overrides = [*read_command(record, folders), *overrides]
    return [
        word.replace("sweep.dir=", "hydra.sweep.dir=", 1) if word.startswith("sweep.dir=") else word
        for word in _order_as_recorded(overrides, record)
    ]


def _order_as_recorded(overrides: Sequence[str], record: Path) -> list[str]:
    """Returns the overrides in the order that an earlier command had, by which cells are named.

    Words that it did not have stay in their places.
    """
    lines: Sequence[object] = ()
    with suppress(DamagedFile):
        lines = read_json(record).get("asked") or ()
    ranks = {_read_key(str(line)): rank for rank, line in enumerate(lines)}
    words = [word for word in overrides if _read_key(word) in ranks]
    sequence = iter(sorted(words, key=lambda word: ranks[_read_key(word)]))
    return [next(sequence) if _read_key(word) in ranks else word for word in overrides]


def _read_key(word: str) -> str:
    return word.partition("=")[0]


def refuse_folder_of_the_other_kind(words: Sequence[str], is_sweep: bool) -> None:
    """Refuses a run's folder for a sweep and a sweep's for a run, where it would do nothing.

    Args:
        words: the overrides as they were typed.
        is_sweep: whether the command is a sweep's.

    Raises:
        UserError: there is one.
    """
    if is_sweep and find_path("hydra.run.dir", words):
        raise UserError(
            "hydra.run.dir= is the folder of a run.\nsweep.dir=FOLDER chooses that of a sweep"
        )
    if is_sweep or find_path("task", words) == "status":
        return
    for word in words:
        if word.lstrip("+").startswith(("sweep.", "hydra.sweep.dir=")):
            raise UserError(
                f"{word} is of a sweep, which -m starts:\n{format_command('-m', *words)}"
            )
