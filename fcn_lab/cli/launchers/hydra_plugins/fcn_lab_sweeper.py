"""The sweeper behind ``hydra/sweeper=optuna``: axes in Hydra's words, drawn by Optuna.

Hydra imports this file at every start: it stays light.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from fcn_lab.runs.sweep import Cell


class OptunaSweeper(Sweeper):
    """Hands batches of cells to the launcher until a study has its trials.

    Args:
        sampler: a node that describes an object of optuna.samplers.
        pruner: a node that describes an object of optuna.pruners.
        n_trials: trials in all; the same command with a larger number continues the search.
        n_jobs: trials drawn at a time; with hydra/launcher=local, as many as it has slots.
        params: axes by key, as an experiment declares them; those of the command line count more.
    """

    def __init__(
        self,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        n_trials: int = 20,
        n_jobs: int = 1,
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.sampler, self.pruner = sampler, pruner
        self.n_trials, self.n_jobs = n_trials, n_jobs
        self.params = params or {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.config, self.loader = config, hydra_context.config_loader
        self.cells: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the search and says what it found.

        Raises:
            UserError: there is no Optuna, no axis, or another search in the folder.
            SweepFailure: no trial was completed.
        """
        from fcn_lab.config.build import check
        from fcn_lab.errors import UserError

        try:
            from fcn_lab.sweeps.search import Search, build_command
            from fcn_lab.sweeps.search_space import SearchSpace
            from fcn_lab.sweeps.status import Status
            from fcn_lab.text.terminal import print_next
        except ImportError as error:
            raise UserError(
                f"hydra/sweeper=optuna: {error}.\nType pip install 'fcn-lab[tune]'"
            ) from error

        settings: dict[str, Any] = {"n_trials": self.n_trials, "n_jobs": self.n_jobs}
        settings |= {"sampler": self.sampler, "pruner": self.pruner}
        # builds its sampler and pruner itself
        node = {"_target_": "fcn_lab.sweeps.search.Search", "_recursive_": False, **settings}
        check(node, "hydra.sweeper", {})
        axes = [f"{key}={axis}" for key, axis in self.params.items()]
        parser = OverridesParser.create(config_loader=self.loader)
        assert self.config is not None
        folder = Path(self.config.hydra.sweep.dir)
        trial = Search(
            folder,
            SearchSpace.from_overrides(parser.parse_overrides([*axes, *arguments])),
            self.sampler,
            self.pruner,
            self.n_trials,
            self.n_jobs,
            self.cells.name_cell,
            self._launch,
            self.config.sweep.on_failure == "stop",
            self.config.sweep.accept_changes is True,
        ).run(self.config.data.split)
        Status(str(folder)).run()
        assert trial.value is not None
        print(f"best val mean IoU {100 * trial.value:.2f}: {trial.user_attrs['cell']}")
        print_next({f"To train it and score {self.config.data.split}": build_command(folder)})

    def _launch(
        self, batch: Sequence[Sequence[str]], first: int, is_unpromising: "Callable[[Cell], bool]"
    ) -> None:
        # a split that was never looked at cannot have been selected on
        shared_overrides = ["data.split=val"]
        self.cells.run_cells(batch, first, shared_overrides, self.n_trials, is_unpromising)
