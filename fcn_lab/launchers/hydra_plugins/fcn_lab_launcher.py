"""The launcher behind ``python run.py -m``, one for every engine of ``hydra/launcher=``.

Hydra finds launchers only in the namespace package ``hydra_plugins``, and imports this file at
every start: it stays light.
"""

import copy
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

if TYPE_CHECKING:
    from fcn_lab.freezing import Composed
    from fcn_lab.sweepfolder import Cell, SweepFolder

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
    """Freezes all cells, then hands them to a Sweep.

    Args:
        engine: dotted name of the engine's class.
        options: its arguments.
    """

    def __init__(self, engine: str, **options: Any) -> None:
        self.engine, self.options = engine, options
        self.unpromising: Callable[[Cell], bool] = lambda cell: False

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from fcn_lab.composing import Composer

        self.composer = Composer(hydra_context.config_loader, config)
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs a batch; a cell's return value is its Progress.

        Raises:
            UserError: a cell cannot run; none has started.
        """
        from fcn_lab.checks import build
        from fcn_lab.errors import SweepFailed
        from fcn_lab.freezing import freeze_sweep
        from fcn_lab.sweeps import Policy, Sweep

        setup_globals()
        before = HydraConfig.instance().cfg
        try:
            composed = [
                self._compose(list(overrides), number)
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            ]
        finally:
            HydraConfig.instance().cfg = before
        engine = build({"_target_": self.engine, **self.options}, "hydra.launcher", {})
        settings = OmegaConf.to_container(self.config.sweep, resolve=True)
        assert isinstance(settings, dict)
        accept_changes = settings.pop("accept_changes")
        del settings["dir"]
        policy: Policy = build({"_target_": "fcn_lab.sweeps.Policy", **settings}, "sweep", {})
        record = self._record()
        cells = freeze_sweep(record.path, composed, record, engine.here, accept_changes)
        progress = Sweep(record, cells, engine, policy, self.unpromising).run()
        results = []
        for cell, overrides in zip(cells, job_overrides, strict=True):
            result = CellReturn(overrides=overrides, status=JobStatus.COMPLETED)
            result.return_value = progress[cell.name]
            if progress[cell.name].status not in ("done", "pruned"):
                result.status = JobStatus.FAILED
                result.return_value = SweepFailed(cell.name)
            results.append(result)
        return results

    def _record(self) -> "SweepFolder":
        from fcn_lab.sweepfolder import SweepFolder

        hydra = self.config.hydra
        engine = hydra.runtime.choices["hydra/launcher"]
        return SweepFolder(Path(hydra.sweep.dir), asked=list(hydra.overrides.task), engine=engine)

    def _compose(self, overrides: list[str], number: int) -> "Composed":
        from fcn_lab.config import resolve
        from fcn_lab.freezing import Composed
        from fcn_lab.inheritance import inherit, with_recorded_words

        conf = [
            Path(s.path) for s in self.config.hydra.runtime.config_sources if s.schema == "file"
        ]
        config = self.composer.compose(with_recorded_words(overrides, conf))
        folder = Path(self.config.hydra.sweep.dir)
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
            config.name = self._name(overrides)
            config.arm = self._name([o for o in overrides if not o.startswith("seed=")])
            config.group = config.group or folder.resolve().name
        HydraConfig.instance().set_config(config)
        task = copy.deepcopy(config)
        with read_write(task), open_dict(task):
            del task["hydra"]
        return Composed(config.name, resolve(inherit(task, overrides, conf)))

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
