"""A table in a run's folder that grows while it trains, and that a resume cuts back."""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Rows:
    """A CSV file.

    Args:
        path: its place.
        columns: their names.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns

    def keep(self, known: Callable[[Mapping[str, str]], bool]) -> None:
        """Drops the rows that the checkpoint a run goes on from does not know."""
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        draft = self.path.with_suffix(".part")
        with draft.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(row for row in rows if known(row))
        os.replace(draft, self.path)

    def append(self, row: Mapping[str, object]) -> None:
        """Adds a row."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)
