"""Numbers as text, and text in a terminal."""

import math
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Timer
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fcn_lab.text.commands import (
    find_opener,
    format_command,
    format_operand,
    format_repetition,
    quote,
)
from fcn_lab.text.escaping import terminal_text
from fcn_lab.text.live_lines import LIVE_LINES

T = TypeVar("T")
SMALLEST_WRITTEN_OUT = 1e-5
# work that takes no longer than this is not shown
QUIET_SECONDS = 2
# the time between two lines where there is no terminal
LINE_SECONDS = 30


def format_number(value: object) -> str:
    """Formats a number as people read it: 3.43 M, 1,980, 117.1, 0.01234."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value / 1e6:,.2f} M" if abs(value) >= 1_000_000 else f"{value:,}"
    if not isinstance(value, float) or not math.isfinite(value) or value == 0:
        return str(value)
    if abs(value) < SMALLEST_WRITTEN_OUT:
        return f"{value:.1e}"
    text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_amount(value: float, digits: int = 3) -> str:
    """Formats an amount with so many significant digits, written out: 1,980, 12.3, 0.0123."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    digits -= 1 + math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"


def format_duration(seconds: float) -> str:
    """Formats a time in the unit that suits it: 1,980 ms, 12.3 s, 4 min 10 s."""
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest} s"
    return f"{format_amount(1e3 * seconds)} ms" if seconds < 10 else f"{seconds:.1f} s"


def format_count(number: int, unit: str) -> str:
    """Formats a number with its unit: 1 network, 2 networks."""
    ending = "es" if unit.endswith("s") else "s"
    return f"{number:,} {unit}{'' if number == 1 else ending}"


def shorten_list(items: Sequence[str], limit: int, separator: str = ", ") -> str:
    """Returns the first `limit` items in a line, and how many more there are."""
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""
    return separator.join(items[:limit]) + rest


def format_percent(value: float | None, digits: int = 1, sign: bool = False) -> str | None:
    """Formats a share 0…1 in per cent, without the sign %; each table has its own mark for None."""
    if value is None:
        return None
    return f"{100 * value:{'+' if sign else ''}.{digits}f}"


def print_text(content: RenderableType, console: Console | None = None) -> None:
    """Prints to the terminal, text by whole words; where there is none, a line stays a line.

    Args:
        content: the text, or what rich draws.
        console: the console of a bar that is live, above which it is printed.
    """
    console = console or Console()
    if isinstance(content, str):
        lines = [terminal_text(line) for line in content.split("\n")]
        if console.is_terminal:
            lines = [wrap_line(line, console.width) for line in lines]
        content = "\n".join(lines)
    console.print(content, soft_wrap=isinstance(content, str), highlight=False, markup=False)


def wrap_line(line: str, width: int) -> str:
    """Breaks a line between words; a word that is longer, say a path, stays in one piece."""
    lines = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return line if len(line) <= width else "\n".join(lines)


def print_refusal(reason: object) -> None:
    """Prints why a command ends; in a terminal by whole words, but a command in one piece."""
    lines = f"fcn-lab: {reason}".split("\n")
    console = Console(stderr=True)
    if console.is_terminal:
        start = format_command()
        lines = [x if x.startswith(start) else wrap_line(x, console.width) for x in lines]
    print("\n".join(lines), file=sys.stderr)


def print_next(steps: Mapping[str, str | Path]) -> None:
    """Prints what to do next: commands alone on a line, to be pasted, and files to be opened.

    Args:
        steps: a command, or a file or folder, by what it shows or does.
    """
    console, opener = Console(), find_opener()
    for title, step in steps.items():
        if isinstance(step, Path):
            path = quote(format_operand(step))
            step = f"{opener} {path}" if opener else path
        # never broken: a terminal copies its own breaks as none
        console.print(f"{title}:\n  {step}", soft_wrap=True, highlight=False, markup=False)


def print_stop(*further_words: str) -> None:
    """Prints that a command was stopped, and the command, with further words, that begins anew."""
    LIVE_LINES.clear()
    print_next({"stopped; to begin anew": format_repetition(*further_words)})


def report_progress(items: Iterable[T], total: int, title: str, units: int = 1) -> Iterator[T]:
    """Yields the items, and shows how many are done if they take longer than a moment.

    In a terminal it is a bar; elsewhere a line now and then.

    Args:
        items: the pieces of work, which are waited for.
        total: the number of units of all items.
        title: what is done.
        units: units an item.
    """
    with ProgressReport(total, title) as report:
        for item in items:
            yield item
            report.advance(units)


@contextmanager
def show_waiting(title: str, is_shown: bool = True) -> Iterator[None]:
    """Opens a context that shows what is waited for, where nothing can be counted.

    Where there is no terminal it is a line, after a moment.

    Args:
        title: what is done.
        is_shown: show it at all.
    """
    console = Console()
    status = console.status(title)
    timer = Timer(QUIET_SECONDS, print, [title], {"flush": True})
    timer.daemon = True
    if is_shown and console.is_terminal:
        LIVE_LINES.show(status)
    elif is_shown:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        LIVE_LINES.remove(status)


class ProgressReport:
    """A context that shows how far work is, how much is left, and when it will be done.

    Args:
        total: units of work.
        title: what is done.
    """

    def __init__(self, total: int, title: str) -> None:
        self.total, self.title, self.done_units = total, title, 0
        self._console = Console()
        words = TextColumn("{task.description}", markup=False)
        self.bar = Progress(
            *(words, BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn()),
            console=self._console,
            transient=True,
        )
        self._task = self.bar.add_task(title, total=total)
        self._start_time, self._last_line = time.monotonic(), 0.0
        # the first item may take long, too
        self._timer = Timer(QUIET_SECONDS, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> "ProgressReport":
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        self._timer.join()
        LIVE_LINES.remove(self.bar)

    def advance(self, units: int = 1) -> None:
        """Counts units that are done."""
        self.done_units = min(self.done_units + units, self.total)
        self.bar.update(self._task, completed=self.done_units)
        if not self._console.is_terminal and self._count_seconds() - self._last_line > LINE_SECONDS:
            self._say()

    def _begin(self) -> None:
        if self._console.is_terminal:
            LIVE_LINES.show(self.bar)
        else:
            self._say()

    def _say(self) -> None:
        self._last_line = self._count_seconds()
        rest = ""
        if 0 < self.done_units < self.total:
            seconds = round(self._last_line / self.done_units * (self.total - self.done_units))
            rest = f", about {timedelta(seconds=seconds)} to go"
        print(f"{self.title}: {self.done_units} of {self.total}{rest}", flush=True)

    def _count_seconds(self) -> float:
        return time.monotonic() - self._start_time
