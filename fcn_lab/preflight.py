"""``python -m fcn_lab.preflight [--elsewhere] FOLDER ...``: builds each cell, runs none.

Cells that differ only in what building does not depend on (seed, names) are built once. The first
mistake of each kind is printed with the cell it is in; the exit status is then 2. With
``--elsewhere`` the devices of this machine are not asked about: the cells run on others.
"""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fcn_lab.checks import build, check
from fcn_lab.errors import UserError

_OF_ONE_CELL = ("seed", "name", "group", "arm", "links")


def main(arguments: list[str]) -> int:
    """Builds the task of each folder's config and lets it look at its data."""
    elsewhere = "--elsewhere" in arguments
    built: set[str] = set()
    mistakes: dict[str, str] = {}
    for folder in (Path(argument) for argument in arguments if argument != "--elsewhere"):
        config: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        seed = config["seed"]
        kept = {key: value for key, value in config.items() if key not in _OF_ONE_CELL}
        kind = json.dumps(kept, sort_keys=True).replace(f'"seed": {seed}', '"seed": 0')
        if kind in built:
            continue
        built.add(kind)
        try:
            check(config["task"], "task", config.get("links", {}))
            with _no_memory():
                task = build(config["task"], "task", config.get("links", {}))
            if hasattr(task, "preflight"):
                task.preflight(elsewhere)
        except UserError as error:
            mistakes.setdefault(str(error), folder.name)
    for mistake, name in mistakes.items():
        print(f"{name}: {mistake}", file=sys.stderr)
    return 2 if mistakes else 0


def _no_memory() -> AbstractContextManager[object]:
    """On the meta device parameters have shapes and no values, whatever the network's size."""
    torch = sys.modules.get("torch")  # there is no need to import it for tasks that do not
    return torch.device("meta") if torch is not None else nullcontext()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
