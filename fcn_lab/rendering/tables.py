"""Prints tables that are no wider than the terminal, without cutting a cell."""

import re
import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from fcn_lab.text.escaping import terminal_text

# the least width of a column of names, where other columns have to make room
NAME_WIDTH = 16
# a name may be broken behind each of these
_PIECES = re.compile(r"[^\s.,/=_+-]*[\s.,/=_+-]*")


class Name:
    """The name of a row in a table: shown whole, and broken behind a dot, comma, slash, ….

    Args:
        text: the name.
    """

    def __init__(self, text: str) -> None:
        self.text = terminal_text(text)
        self._pieces = _PIECES.findall(self.text)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        piece_width = max((len(piece.rstrip()) for piece in self._pieces), default=0)
        return Measurement(piece_width, len(self.text)).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for piece in self._pieces:
            if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > options.max_width:
                lines.append("")
            lines[-1] += piece
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", names: int = 1
) -> None:
    """Prints a table; where it is wider than the terminal, as several tables below each other.

    Args:
        columns: titles.
        rows: cells.
        title: above the table.
        names: how many of the columns, from the left, hold names; the others hold numbers.
    """
    console = Console()
    for table in split_table(columns, rows, title, names, console.width):
        console.print(table)


def split_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str, names: int, width: int
) -> list[Table]:
    """Returns tables of at most `width` characters that each begin with the names of the rows."""
    widths = [_measure_width([title, *(row[n] for row in rows)]) for n, title in enumerate(columns)]
    room = width - sum(max(NAME_WIDTH, column_width) + 2 for column_width in widths[:names])
    parts: list[list[int]] = [[]]
    rest = room
    for number in range(names, len(columns)):
        if parts[-1] and widths[number] + 2 > rest:
            parts.append([])
            rest = room
        parts[-1].append(number)
        rest -= widths[number] + 2
    tables = []
    for part in parts:
        numbers = ["\n".join(textwrap.wrap(columns[n], widths[n])) for n in part]
        table = create_table([*columns[:names], *numbers], title, names)
        for row in rows:
            table.add_row(*(Name(cell) for cell in row[:names]), *(row[n] for n in part))
        tables.append(table)
    return tables


def create_table(columns: Sequence[str], title: str = "", names: int = 1) -> Table:
    """Returns an empty table whose names may be broken and whose numbers are not.

    Args:
        columns: titles.
        title: above the table.
        names: how many of the columns, from the left, hold names; the others hold numbers.
    """
    table = Table(box=box.SIMPLE_HEAD, title=Text(title, "bold") if title else None)
    table.title_justify = "left"
    for index, column in enumerate(columns):
        is_number = index >= names
        justify: JustifyMethod = "right" if is_number else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=is_number)
    return table


def _measure_width(cells: Sequence[str]) -> int:
    """Returns the least a column takes: its title's longest word, or a cell's longest line."""
    title, *others = cells
    words = [*title.split(), *(line for cell in others for line in cell.splitlines())]
    return max(map(len, words), default=0)
