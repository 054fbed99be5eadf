"""The launcher behind ``python run.py -m``, one for every engine of ``hydra/launcher=``.

Hydra finds launchers only in the namespace package ``hydra_plugins``, and imports this file at
every start: it stays light.
"""

import copy
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
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
        self.loader = hydra_context.config_loader
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
        config = self.loader.load_sweep_config(self.config, with_recorded_words(overrides, conf))
        folder = Path(self.config.hydra.sweep.dir)
        own = self._own(overrides)
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
            HydraConfig.instance().set_config(config)  # which config.name refers to
            config.arm = _as_name(o for o in own if not o.startswith("seed=")) or config.name
            config.name = _as_name(own) or config.name
            config.group = config.group or folder.resolve().name
        task = copy.deepcopy(config)
        with read_write(task), open_dict(task):
            del task["hydra"]
        return Composed(config.name, resolve(inherit(task, overrides, conf)))

    def _own(self, overrides: Sequence[str]) -> list[str]:
        """What distinguishes the cell: the overrides that not all cells share."""
        task = OverridesParser.create().parse_overrides(list(self.config.hydra.overrides.task))
        shared = {o.get_key_element() for o in task if not o.is_sweep_override()}
        return [o for o in overrides if o.partition("=")[0] not in shared]


def _as_name(overrides: Iterable[str]) -> str:
    """A file name of at most LONGEST_NAME characters and a hash; empty where there are none."""
    name = re.sub(r"[^\w.=,+-]+", "-", ",".join(overrides)).strip("-.")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
