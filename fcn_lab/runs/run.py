"""The files of a run's folder: their places, and how each is written whole."""

import hashlib
import importlib.metadata
import os
import platform
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fcn_lab.files import write_buffer, write_bytes, write_json
from fcn_lab.runs import names
from fcn_lab.runs.digests import require_sound
from fcn_lab.runs.outcomes import is_finished, read_metrics
from fcn_lab.runs.processor import describe_processor
from fcn_lab.runs.provenance import PACKAGE, Source
from fcn_lab.runs.records import DamagedFile, load_yaml, read_json, read_yaml
from fcn_lab.text.commands import COMMAND_VARIABLE

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "segmentation-models-pytorch",
    "albumentations",
    "wandb",
    "numpy",
)


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """Returns the file of the resolved configuration."""
        return self.path / names.CONFIG

    @property
    def env(self) -> Path:
        """Returns the file of versions, git state, device and command line."""
        return self.path / names.ENVIRONMENT

    @property
    def history(self) -> Path:
        """Returns the file with one row an epoch."""
        return self.path / names.HISTORY

    @property
    def gradients(self) -> Path:
        """Returns the file of the gradient's norms, where a run notes them."""
        return self.path / names.GRADIENTS

    @property
    def metrics(self) -> Path:
        """Returns the file of the final scores; the run is done exactly when it exists."""
        return self.path / names.METRICS

    @property
    def best_checkpoint(self) -> Path:
        """Returns the checkpoint that scored best on val."""
        return self.path / names.BEST_CHECKPOINT

    @property
    def last_checkpoint(self) -> Path:
        """Returns the checkpoint that a resume starts from."""
        return self.path / names.LAST_CHECKPOINT

    @property
    def panels(self) -> Path:
        """Returns the folder of the pictures."""
        return self.path / names.PANELS

    def predictions(self, rank: int = 0) -> Path:
        """Returns the file of pictures, truth and predictions of the scored split, one a rank."""
        return self.path / (f"predictions.{rank}.zip" if rank else names.PREDICTIONS)

    def confusions(self, split: str) -> Path:
        """Returns the file of a split's matrices; those of val lie beside the final ones."""
        return self.path / (names.VAL_CONFUSIONS if split == "val" else names.CONFUSIONS)

    def write_metrics(self, metrics: Mapping[str, object]) -> None:
        """Writes metrics.json in one piece."""
        write_json(self.metrics, metrics)

    @property
    def is_finished(self) -> bool:
        """Returns whether metrics.json exists and is valid."""
        return is_finished(self.path)

    def require_sound(self) -> None:
        """Checks the checkpoint that a resume starts from, where there is one.

        Raises:
            DamagedFile: it is not what was written; the message names a whole one.
        """
        if self.last_checkpoint.exists():
            require_sound(self.last_checkpoint)

    def read_config(self) -> dict[str, Any]:
        """Returns the content of config.yaml; empty where there is none.

        Raises:
            DamagedFile: it is not as a run writes it.
        """
        return read_yaml(self.config, load_yaml) if os.path.lexists(self.config) else {}

    def read_metrics(self) -> dict[str, Any]:
        """Returns the content of metrics.json.

        Raises:
            DamagedFile: it is not as a finished run writes it.
        """
        return read_metrics(self.path)

    def write_confusions(
        self,
        split: str,
        frames: Sequence[str],
        matrices: NDArray[np.int64],
        classes: Sequence[str],
        drives: Sequence[str] = (),
        is_only: bool = False,
        **rows: Any,  # noqa: ANN401  (numpy's own type for them)
    ) -> None:
        """Writes one matrix an image, (M,K,K) with rows truth, beside the M image names.

        Args:
            split: the split's name.
            frames: the M images' names.
            matrices: their confusion matrices.
            classes: K names.
            drives: the drives that the images are from; "" where that is not known.
            is_only: whether it is the run's only scored split, whose matrices confusions.npz holds.
            rows: further arrays whose first axis is M.
        """
        with write_buffer(self.confusions("test" if is_only else split)) as file:
            np.savez_compressed(
                file,
                names=np.array(frames),
                drives=np.array(drives or [""] * len(frames)),
                matrices=matrices,
                classes=np.array(classes),
                split=split,
                **rows,
            )

    @property
    def run_id(self) -> str:
        """Returns the name in env.json, which all resumes share and no other run has.

        Without that file it is made of place and config.
        """
        if (environment := self._read_env()) is not None:
            return str(environment["run_id"])
        config = self.config.read_bytes() if self.config.exists() else b""
        return hashlib.sha256(os.fsencode(self.path.resolve()) + config).hexdigest()[:12]

    @property
    def precision(self) -> str | None:
        """Returns the precision that the run began with; None where it is not known."""
        precision = (self._read_env() or {}).get("precision")
        return precision if isinstance(precision, str) else None

    def write_env(self, device: Mapping[str, object]) -> None:
        """Writes env.json; a resume adds itself to the list `resumed` and leaves the rest.

        Args:
            device: what is computed on, and how: its name and the precision, at least.
        """
        source = Source.find(PACKAGE)
        environment, diff = {**describe_environment(source), **device}, source.diff
        first = self._read_env()
        if first is None:
            self._put_damaged_env_aside()
            write_json(self.env, {"run_id": secrets.token_hex(6), **environment})
            self._write_diff("git.diff", diff)
            return
        first["resumed"] = [*first.get("resumed", ()), environment]
        write_json(self.env, first)
        self._write_diff(f"git.{len(first['resumed'])}.diff", diff)

    def _write_diff(self, name: str, diff: str) -> None:
        if diff:
            # sources need not be UTF-8
            write_bytes(self.path / name, os.fsencode(diff))

    def _read_env(self) -> dict[str, Any] | None:
        """Returns the content of env.json; None where it does not exist or is not a run's."""
        try:
            facts = read_json(self.env)
        except DamagedFile:
            return None
        return facts if "run_id" in facts and isinstance(facts.get("resumed", []), list) else None

    def _put_damaged_env_aside(self) -> None:
        if os.path.lexists(self.env):
            target = self.env.with_name("env.damaged.json")
            self.env.replace(target)
            print(
                f"{self.env} is damaged: it is now {target.name}, and a new one begins", flush=True
            )


def find_version(package: str) -> str | None:
    """Returns the version of an installed package; None where it is not installed.

    The package may be a logger's, which a training does not need.
    """
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def describe_environment(source: Source) -> dict[str, object]:
    """Returns the facts besides configuration and device that a run's numbers may depend on."""
    return {
        "versions": {name: find_version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": describe_processor(),
        "threads": torch.get_num_threads(),
        "git_commit": source.commit,
        "git_dirty": source.dirty,
        "command": os.environ.get(COMMAND_VARIABLE) or shlex.join(sys.argv),
    }
