"""How a run has ended, for tests that compare two of them to the last bit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcn_lab.runs.outcomes import read_history
from fcn_lab.runs.run import RunFolder
from support.tiny import weights

TIMES = ("seconds", "images_per_second")


def end_of(folder: Path) -> dict[str, Any]:
    """All that a run leaves, without times."""
    run = RunFolder(folder)
    last = torch.load(run.last_checkpoint, weights_only=True)
    metrics = {k: v for k, v in run.read_metrics().items() if k not in TIMES}
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in read_history(run.path)]
    state = {
        k: last.get(k)
        for k in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers")
    }
    return {"last": state, "best": weights(run.best_checkpoint), "metrics": metrics, "rows": rows}


def same(left: Any, right: Any) -> bool:  # noqa: ANN401  (anything that a run leaves)
    """Equal to the last bit."""
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)
