"""The launcher behind ``python run.py -m``; the command line makes it the word ``basic``.

Hydra finds launchers only in the namespace package ``hydra_plugins``, and imports this file at
every start: it stays light.
"""

import copy
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

if TYPE_CHECKING:
    from fcn_lab.sweeps import Cell

LONGEST_NAME = 120  # a file name holds 255 bytes, and suffixes will come


class CellReturn(JobReturn):
    """A cell's outcome for Hydra's sweepers, without the line that JobReturn prints."""

    @property
    def return_value(self) -> Any:
        if self.status == JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


class CellLauncher(Launcher):
    """Freezes all cells, then hands them to a Sweep."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.loader = hydra_context.config_loader
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from fcn_lab.sweeps import Cell, Sweep, SweepFailed

        setup_globals()
        before = HydraConfig.instance().cfg
        cells: list[Cell] = []
        try:
            for number, overrides in enumerate(job_overrides, initial_job_idx):
                cells.append(self._freeze(list(overrides), number))
        finally:
            HydraConfig.instance().cfg = before
        Sweep(Path(self.config.hydra.sweep.dir), cells).run()
        results = []
        for cell, overrides in zip(cells, job_overrides, strict=True):
            result = CellReturn(overrides=overrides, status=JobStatus.COMPLETED)
            if cell.status != "done":
                result.status = JobStatus.FAILED
                result.return_value = SweepFailed(cell.name)
            results.append(result)
        return results

    def _freeze(self, overrides: list[str], number: int) -> "Cell":
        from fcn_lab.config import freeze
        from fcn_lab.inheritance import inherit, with_recorded_words
        from fcn_lab.sweeps import Cell

        conf = [
            Path(s.path) for s in self.config.hydra.runtime.config_sources if s.schema == "file"
        ]
        config = self.loader.load_sweep_config(self.config, with_recorded_words(overrides, conf))
        folder = Path(self.config.hydra.sweep.dir)
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
            config.name = self._name(overrides)
            config.group = config.group or folder.resolve().name
        HydraConfig.instance().set_config(config)
        task = copy.deepcopy(config)
        with read_write(task), open_dict(task):
            del task["hydra"]
        task = inherit(task, overrides, conf)
        folder /= str(OmegaConf.select(config, "hydra.sweep.subdir"))
        freeze(task, folder)
        return Cell(config.name, folder, {**task.words, "seed": task.seed})

    def _name(self, overrides: Sequence[str]) -> str:
        """What distinguishes the cell: the overrides that not all cells share, as a file name."""
        shared = set(self.config.hydra.overrides.task)
        own = [override for override in overrides if override not in shared] or list(overrides)
        name = re.sub(r"[^\w.=,+-]+", "-", ",".join(own)).strip("-.") or "cell"
        return (
            name
            if len(name) <= LONGEST_NAME
            else f"{name[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
        )
