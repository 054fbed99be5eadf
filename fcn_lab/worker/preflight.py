"""``python -m fcn_lab.worker.preflight``: builds the tasks of cells, without running them.

Their folders come over the standard input, a zero byte between them. Cells that differ only in what
building does not depend on (seed, names) are built once. The first mistake of each kind is printed
with the cell it is in; the exit status is then 2. With ``--elsewhere`` the devices of this machine
are not checked, since the cells run on others. With ``--estimate=FILE`` a few steps are timed, and
the time that each cell will take is written to the file.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn_lab.config.build import build, check
from fcn_lab.config.frozen import read_frozen
from fcn_lab.config.trust import find_own_modules, require_allowed
from fcn_lab.errors import UserError
from fcn_lab.files import write_json
from fcn_lab.runs.names import CONFIG
from fcn_lab.text.terminal import format_count, report_progress
from fcn_lab.worker.estimate import estimate_seconds, measure_uptime
from fcn_lab.worker.flags import ELSEWHERE_FLAG, ESTIMATE_FLAG
from fcn_lab.worker.supervisor import EXIT_MISTAKE

_CELL_KEYS = ("seed", "name", "group", "arm", "links")


@dataclass
class CellGroup:
    """Cells that are built alike."""

    config: dict[str, Any]
    cells: list[str] = field(default_factory=list)

    def build(self) -> Any:  # noqa: ANN401 - whatever the target makes
        """Builds the task of these cells."""
        return build(self.config["task"], "task", self.config.get("links", {}))


def main(arguments: list[str]) -> int:
    """Builds the task of each folder's config and lets it look at its data."""
    on_other_machine = ELSEWHERE_FLAG in arguments
    files = [a.removeprefix(ESTIMATE_FLAG) for a in arguments if a.startswith(ESTIMATE_FLAG)]
    mistakes: dict[str, str] = {}
    tasks: list[tuple[CellGroup, Any]] = []
    folders = [Path(a) for a in arguments if not a.startswith("--")]
    try:
        kinds = _group_cells(folders)
    except UserError as error:
        print(error, file=sys.stderr)
        return EXIT_MISTAKE
    title = f"checking {format_count(len(folders), 'cell')} of {format_count(len(kinds), 'kind')}"
    for kind in report_progress(kinds, len(kinds), title):
        try:
            require_allowed(kind.config["task"], kind.cells[0])
            find_own_modules(kind.config["task"])
            check(kind.config["task"], "task", kind.config.get("links", {}))
            with _use_meta_device():
                task = kind.build()
            if hasattr(task, "preflight"):
                task.preflight(on_other_machine)
            tasks.append((kind, task))
        except UserError as error:
            mistakes.setdefault(str(error), kind.cells[0])
    for mistake, name in mistakes.items():
        # a cell that is named after the very setting says it itself
        prefix = "" if mistake.startswith(f"{name}: ") else f"{name}: "
        print(f"{prefix}{mistake}", file=sys.stderr)
    for file in files if not mistakes else ():
        start = measure_uptime()
        print("timing a few steps of the smallest and the largest network", flush=True)
        seconds = estimate_seconds([(task, kind.build) for kind, task in tasks], start)
        times = {n: s for (kind, _), s in zip(tasks, seconds, strict=True) for n in kind.cells}
        write_json(Path(file), times)
    return EXIT_MISTAKE if mistakes else 0


def _group_cells(folders: Iterable[Path]) -> Sequence[CellGroup]:
    kinds: dict[str, CellGroup] = {}
    for folder in folders:
        config = read_frozen(folder / CONFIG)
        seed = config["seed"]
        rest = {key: value for key, value in config.items() if key not in _CELL_KEYS}
        key = json.dumps(rest, sort_keys=True).replace(f'"seed": {seed}', '"seed": 0')
        kinds.setdefault(key, CellGroup(config)).cells.append(folder.name)
    return list(kinds.values())


def _use_meta_device() -> AbstractContextManager[object]:
    """Selects the meta device, where parameters have shapes and take no memory."""
    # there is no need to import it for tasks that do not
    torch = sys.modules.get("torch")
    return torch.device("meta") if torch is not None else nullcontext()


if __name__ == "__main__":
    sys.exit(main([*sys.argv[1:], *sys.stdin.read().split("\0")]))
