"""Reads lists, class files and tables of text, all with the same rules.

Byte order marks (UTF-8, UTF-16, UTF-32), any line ends, empty lines, and invisible characters at
either end mean nothing; a line that begins with ``#`` is a comment.
"""

import codecs
import csv
import errno
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fcn_lab.errors import UserError

# the longer marks first, since UTF-32's begins with UTF-16's
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# left by editors and web pages at the ends of a line, besides white space; DOS ends files by ^Z
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad\x00\x1a"
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Line:
    """A line's text, and its number in the file, counted from 1."""

    number: int
    text: str

    @property
    def is_comment(self) -> bool:
        """Returns whether the line begins with a hash."""
        return self.text.startswith("#")


def read_lines(file: Path) -> list[Line]:
    """Returns the lines that are neither empty nor comments, trimmed.

    Raises:
        UserError: the file is not there, or no text.
    """
    return [line for line in read_all_lines(file) if not line.is_comment]


def read_all_lines(file: Path) -> list[Line]:
    """Returns the lines that are not empty, comments included, trimmed.

    Raises:
        UserError: the file is not there, or no text.
    """
    lines = (
        Line(number, trim(text)) for number, text in enumerate(_read_text(file).split("\n"), 1)
    )
    return [line for line in lines if line.text]


def read_table(file: Path) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """Returns the columns of a CSV file, and its rows as (last line, column → cell).

    Cells are parted by commas, semicolons or tabs, whichever the first line holds most of.

    Raises:
        UserError: the file is not there or no text, a column occurs twice, or a row is longer than
            the first.
    """
    (_, columns), *rows = list(_read_rows(file)) or [(0, [])]
    if repeats := [name for name in columns if name and columns.count(name) > 1]:
        raise UserError(f"{file} has the column {repeats[0]} twice; expected every column once")
    table: list[tuple[int, dict[str, str]]] = []
    for number, cells in rows:
        if any(cells[len(columns) :]):
            raise UserError(
                f"{file}, line {number}: {len(cells)} cells under {len(columns)} columns "
                f"({', '.join(columns)}).\nPut quotes around a cell that holds a delimiter"
            )
        values = cells + [""] * (len(columns) - len(cells))
        table.append((number, dict(zip(columns, values, strict=False))))
    return tuple(columns), table


def trim(text: str) -> str:
    """Returns the text without white space and invisible characters at its ends."""
    while (rest := text.strip().strip(_INVISIBLE)) != text:
        text = rest
    return text


def _read_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    text = _read_text(file)
    first = next((line for line in text.split("\n") if trim(line) and trim(line)[0] != "#"), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            cells = [trim(cell) for cell in row]
            if any(cells) and not cells[0].startswith("#"):
                yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{file} cannot be read ({error}); expected a CSV file") from error


def _read_text(file: Path) -> str:
    """Returns the file's text with newlines as its only line ends."""
    try:
        # reading it would wait for ever
        if file.is_fifo() or file.is_char_device():
            raise OSError(errno.ESPIPE, "it is a pipe or a device")
        data = file.read_bytes()
        coding = next((coding for mark, coding in _MARKS if data.startswith(mark)), "utf-8")
        text = data.decode(coding)
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}); expected a text file"
        ) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{file}, line {line}: is not {error.encoding.upper()}; expected a text file.\n"
            "Save it as UTF-8."
        ) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text.rstrip("\0\x1a"):
        raise UserError(f"{file} holds zero bytes; expected a text file.\nSave it as UTF-8.")
    return text
