"""Writes a table in a run's folder that grows in training and that a resume cuts back."""

import csv
import io
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fcn_lab.files import append_text, write_text
from fcn_lab.runs.records import DamagedFile, read_rows


class CsvFile:
    """A CSV file that rows are added to.

    Args:
        path: its place.
        columns: their names.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns

    def begin(self) -> None:
        """Writes the head of the table, unless there is one."""
        if not self.path.exists():
            self.keep(lambda row: True)

    def keep(self, is_known: Callable[[Mapping[str, str]], bool]) -> None:
        """Drops the rows that are newer than the checkpoint from which a run continues.

        Raises:
            DamagedFile: the file is no such table; it stays as it is.
        """
        table = io.StringIO()
        writer = csv.DictWriter(table, self.columns)
        writer.writeheader()
        try:
            rows = read_rows(self.path) if os.path.lexists(self.path) else []
            writer.writerows(row for row in rows if is_known(row))
        except (ValueError, LookupError) as error:
            command = shlex.join(["mv", str(self.path), f"{self.path}.damaged"])
            reason = error.reason if isinstance(error, DamagedFile) else error
            raise DamagedFile(
                self.path, reason, f"{command} lets the run go on with new rows"
            ) from error
        write_text(self.path, table.getvalue())

    def append(self, row: Mapping[str, object]) -> None:
        """Adds a row to the file."""
        line = io.StringIO()
        csv.DictWriter(line, self.columns).writerow(row)
        append_text(self.path, line.getvalue())
