"""The launcher behind ``python run.py -m``, one for every engine of ``hydra/launcher=``.

Hydra finds launchers only in the namespace package ``hydra_plugins``, and imports this file at
every start: it stays light.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

if TYPE_CHECKING:
    from fcn_lab.runs.sweep import Cell, Progress, SweepFolder
    from fcn_lab.sweeps.freeze import ComposedCell
    from fcn_lab.sweeps.loop import Sweep

_SEARCH_PREFIXES = ("hydra/sweeper=", "hydra.sweeper.")
# tasks that leave no scores, though a sweep knows by these that a cell is done
UNSCORED_TASKS = (
    *("audit", "capacity", "ceilings", "dashboard", "demo", "export", "predict", "profile"),
    *("report", "shapes", "status"),
)


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

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        from fcn_lab.cli.compose import Composer
        from fcn_lab.config.overrides import parse_overrides
        from fcn_lab.config.own_words import keep_own_folders
        from fcn_lab.config.trust import allow, list_shipped

        # the frozen sources that its cells run have no conf/
        allow(list_shipped())
        self.composer = Composer(hydra_context.config_loader, config)
        self.config = config
        # read once: for each of thousands of cells, reading it from OmegaConf costs too much
        self.folder = Path(config.hydra.sweep.dir)
        sources = config.hydra.runtime.config_sources
        self.conf_folders = [Path(source.path) for source in sources if source.schema == "file"]
        keep_own_folders(self.conf_folders)
        overrides = parse_overrides(config.hydra.overrides.task)
        # of several overrides of a key the last one counts
        last = {override.get_key_element(): override for override in overrides}
        self.shared_keys = {key for key, word in last.items() if not word.is_sweep_override()}

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs all cells of a sweep, as Hydra's sweepers ask for it.

        Raises:
            UserError: a cell cannot run; none has started.
        """
        return self.run_cells(job_overrides, initial_job_idx)

    def run_cells(
        self,
        job_overrides: Sequence[Sequence[str]],
        first: int,
        shared_overrides: Sequence[str] = (),
        cell_count: int | None = None,
        is_unpromising: "Callable[[Cell], bool]" = lambda cell: False,
    ) -> Sequence[JobReturn]:
        """Runs a batch; a cell's return value is its Progress.

        Args:
            job_overrides: the overrides of each cell.
            first: the number of the first cell.
            shared_overrides: overrides of all cells that are no part of their names.
            cell_count: cells in all, where they come in batches; a batch is then not reported as
                the whole sweep.
            is_unpromising: is asked about every running cell; a cell for which it returns True is
                pruned.

        Raises:
            UserError: a cell cannot run; none has started.
        """
        from fcn_lab.config.build import build
        from fcn_lab.sweeps.freeze import freeze_sweep
        from fcn_lab.sweeps.locking import hold_sweep
        from fcn_lab.sweeps.loop import Policy, Sweep
        from fcn_lab.sweeps.reuse import find_done_runs, link_done_cells
        from fcn_lab.sweeps.studies import describe_opening
        from fcn_lab.values import require_type

        composed_cells = self._compose_all(job_overrides, first, shared_overrides)
        engine = build({"_target_": self.engine, **self.options}, "hydra.launcher", {})
        settings = OmegaConf.to_container(self.config.sweep, resolve=True)
        assert isinstance(settings, dict)
        accept_changes, reuse = settings.pop("accept_changes"), settings.pop("reuse")
        del settings["dir"]
        require_type(bool, accept_changes, "sweep.accept_changes")
        reuse = [reuse] if isinstance(reuse, str) else reuse
        require_type(list[str], reuse, "sweep.reuse")
        policy: Policy = build({"_target_": "fcn_lab.sweeps.loop.Policy", **settings}, "sweep", {})
        record, done_runs = self._record(), find_done_runs([Path(folder) for folder in reuse])
        with hold_sweep(record.path):
            cells = freeze_sweep(
                record.path, composed_cells, record, engine.runs_here, accept_changes
            )
            remarks = dict.fromkeys(line for cell in composed_cells for line in cell.remarks)
            for line in [*remarks, *link_done_cells(cells, done_runs)]:
                print(line, flush=True)
        is_complete = cell_count is None
        for line in describe_opening(record, cells, cell_count) if first == 0 else ():
            print(line, flush=True)
        progress = self._run(Sweep(record, cells, engine, policy, is_unpromising, is_complete))
        return [
            self._report_cell(cell, progress[cell.name], overrides)
            for cell, overrides in zip(composed_cells, job_overrides, strict=True)
        ]

    def _run(self, sweep: "Sweep") -> "dict[str, Progress]":
        """Runs the sweep; prints what to type next, also where it is stopped."""
        from fcn_lab.signals import StoppedBySignal
        from fcn_lab.sweeps.next_steps import list_sweep_steps
        from fcn_lab.sweeps.recorded_command import list_needed_words
        from fcn_lab.sweeps.status import read_progress
        from fcn_lab.text.terminal import print_next

        overrides: Any = OmegaConf.to_container(self.config.hydra.overrides)
        words = list_needed_words(**overrides)
        try:
            progress = sweep.run()
        except StoppedBySignal:
            progress = read_progress(sweep.record, {})
            print_next(list_sweep_steps(sweep.record, progress, words))
            raise
        if sweep.conclude:
            # the record may hold cells that were asked for earlier
            all_progress = read_progress(sweep.record, progress)
            print_next(list_sweep_steps(sweep.record, all_progress, words))
        return progress

    def _report_cell(
        self, cell: "ComposedCell", progress: "Progress", overrides: Sequence[str]
    ) -> CellReturn:
        from fcn_lab.errors import SweepFailure
        from fcn_lab.runs.statuses import FINAL_STATUSES

        result = CellReturn(overrides=overrides, status=JobStatus.COMPLETED)
        result.return_value = progress
        if progress.status not in FINAL_STATUSES:
            result.status = JobStatus.FAILED
            result.return_value = SweepFailure(cell.name)
        return result

    def _record(self) -> "SweepFolder":
        from fcn_lab.runs.sweep import SweepFolder
        from fcn_lab.sweeps.recorded_command import drop_consents
        from fcn_lab.sweeps.studies import require_question

        hydra = self.config.hydra
        engine = hydra.runtime.choices["hydra/launcher"]
        # not resolved: as it was typed
        overrides: Any = OmegaConf.to_container(hydra.overrides)
        search = [word for word in overrides["hydra"] if word.startswith(_SEARCH_PREFIXES)]
        command = [*search, *drop_consents(overrides["task"])]
        study: Any = OmegaConf.to_container(OmegaConf.create({"": self.config.study}))
        require_question(study[""])
        return SweepFolder(self.folder, asked=command, engine=engine, study=study[""] or {})

    def _compose_all(
        self,
        job_overrides: Sequence[Sequence[str]],
        first: int,
        shared_overrides: Sequence[str],
    ) -> "list[ComposedCell]":
        from fcn_lab.sweeps.freeze import find_group
        from fcn_lab.text.terminal import report_progress

        setup_globals()
        config, group = HydraConfig.instance().cfg, find_group(self.folder)
        try:
            cells = report_progress(job_overrides, len(job_overrides), "composing the cells")
            return [
                self._compose(list(overrides), number, shared_overrides, group)
                for number, overrides in enumerate(cells, first)
            ]
        finally:
            HydraConfig.instance().cfg = config

    def _compose(
        self, overrides: list[str], number: int, shared_overrides: Sequence[str], group: str
    ) -> "ComposedCell":
        from fcn_lab.cli.compose import format_file_name
        from fcn_lab.config.inheritance import add_recorded_words, resolve_command
        from fcn_lab.config.unread import list_unread
        from fcn_lab.errors import UserError
        from fcn_lab.sweeps.freeze import ComposedCell

        all_overrides = [*overrides, *shared_overrides]
        config = self.composer.compose(add_recorded_words(all_overrides, self.conf_folders), number)
        if (task := config.choices.task) in UNSCORED_TASKS:
            raise UserError(
                f"task={task}: a sweep is of trainings and evaluations, whose scores it compares.\n"
                "Leave out -m"
            )
        arm_overrides = [word for word in overrides if not word.startswith("seed=")]
        with open_dict(config):
            config.arm = self.name_cell(arm_overrides) or config.name
            config.name = self.name_cell(overrides) or format_file_name([str(config.name)])
            config.group = config.group or group
        content = resolve_command(config, all_overrides, self.conf_folders)
        return ComposedCell(config.name, content, list_unread(content, all_overrides))

    def name_cell(self, overrides: Sequence[str]) -> str:
        """Returns a cell's file name, of the overrides that not all cells share.

        It is empty where all is shared.
        """
        from fcn_lab.cli.compose import format_file_name

        words = [word for word in overrides if word.partition("=")[0] not in self.shared_keys]
        return format_file_name(words)
