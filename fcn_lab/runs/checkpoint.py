"""The best weights that a run has kept, checked before anything is taken from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fcn_lab.errors import UserError
from fcn_lab.runs.digests import advise, require_sound
from fcn_lab.runs.records import DamagedFile
from fcn_lab.runs.run import RunFolder


def load_best_checkpoint(run: Path, key: str = "run") -> dict[str, Any]:
    """Loads the checkpoint of a run's best epoch; `key` is the user's name for the run.

    Raises:
        UserError: there is none, or it is damaged; the message names one that is whole.
    """
    path = RunFolder(run).best_checkpoint
    if not path.exists():
        raise UserError(
            f"{key}={run}: there is no {path.relative_to(run)}; "
            "expected the folder of a training run"
        )
    require_sound(path)
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    # an unpickler raises any kind of error for damaged bytes
    except Exception as error:
        raise DamagedFile(path, f"{type(error).__name__}: {error}", advise(path)) from error
    if not _is_run_checkpoint(checkpoint):
        raise DamagedFile(path, "it holds no network with its classes and colours", advise(path))
    return checkpoint


def _is_run_checkpoint(checkpoint: object) -> bool:
    match checkpoint:
        case {"state_dict": dict() as state, "classes": list() | tuple() as names, "palette": rgb}:
            texts = all(isinstance(text, str) for text in (*state, *names))
            tensors = all(isinstance(tensor, Tensor) for tensor in state.values())
            colours = isinstance(rgb, list | tuple) and all(
                isinstance(colour, list | tuple) and len(colour) == 3 for colour in rgb
            )
            return texts and tensors and colours and len(rgb) == len(names)
    return False


def load_state(net: nn.Module, state: Mapping[str, Tensor], run: Path) -> nn.Module:
    """Loads the state of a training module into the network.

    Raises:
        UserError: the state belongs to another network.
    """
    try:
        net.load_state_dict(select_network_state(state))
    except RuntimeError as error:
        raise UserError(
            f"run={run}: its weights do not fit this network; drop model=, upsample= and encoder="
        ) from error
    return net


def select_network_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the network's part of a training module's state, by the network's names."""
    return {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}
