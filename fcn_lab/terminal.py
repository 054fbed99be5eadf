"""Numbers as text, and text in a terminal."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
QUIET_SECONDS = 2  # work that takes no longer is not shown
LINE_SECONDS = 30  # between two lines where there is no terminal


def format_number(value: object) -> str:
    """Large numbers in millions, fractions with four digits."""
    if isinstance(value, int) and value >= 1_000_000:
        return f"{value / 1e6:,.2f} M"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_percent(value: float | None, digits: int = 1, signed: bool = False) -> str | None:
    """Formats a share 0…1 in per cent, without the sign %; each table has its own mark for None."""
    if value is None:
        return None
    return f"{100 * value:{'+' if signed else ''}.{digits}f}"


def print_text(content: RenderableType) -> None:
    """Prints to the terminal; where there is none, a line stays a line."""
    console = Console()
    console.print(content, soft_wrap=isinstance(content, str), highlight=False, markup=False)


def report_progress(items: Iterable[T], total: int, title: str, each: int = 1) -> Iterator[T]:
    """Yields the items, and shows how far they are once that takes longer than a moment.

    In a terminal it is a bar; elsewhere a line now and then.

    Args:
        items: what is waited for.
        total: the number of units that they are together.
        title: what is done.
        each: units an item.
    """
    console = Console()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    task, began, told = bar.add_task(title, total=total), time.monotonic(), 0.0
    try:
        for number, item in enumerate(items, 1):
            yield item
            done, seconds = min(number * each, total), time.monotonic() - began
            bar.update(task, completed=done)
            if seconds < QUIET_SECONDS:
                continue
            if console.is_terminal and not bar.live.is_started:
                bar.start()
            elif seconds - told > LINE_SECONDS:
                told = seconds
                print_text(f"{title}: {done} of {total}")
    finally:
        if bar.live.is_started:
            bar.stop()
