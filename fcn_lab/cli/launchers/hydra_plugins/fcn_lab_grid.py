"""The sweeper behind ``python run.py -m``: every combination of the values given.

Hydra imports this file at every start: it stays light.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """Lists the combinations as Hydra's own sweeper does; CellLauncher composes them all.

    All cells of a batch are composed before its first one starts, so that a wrong word is reported
    before that, and nothing is written for a batch that is refused.

    Args:
        max_batch_size: how many cells the launcher is given at a time; by default all.
        params: axes by key, as an experiment declares them; those of the command line count more.
    """

    def __init__(
        self, max_batch_size: int | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}
        self.stops_at_failure = False

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.loader = hydra_context.config_loader
        self.stops_at_failure = config.sweep.on_failure == "stop"
        self.cells: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs a cell for every combination of the axes.

        Raises:
            HydraException: an axis lists no values.
            UserError: a cell, or the size of the batches, is not possible.
            SweepFailure: a cell has failed.
        """
        from fcn_lab.values import Count, require_type

        require_type(Count | None, self.max_batch_size, "hydra.sweeper.max_batch_size")
        own_axes = [f"{key}={axis}" for key, axis in self.params.items()]
        parser = OverridesParser.create(config_loader=self.loader)
        overrides = parser.parse_overrides([*own_axes, *arguments])
        axes = {override.get_key_element(): list_values(override) for override in overrides}
        cells = [list(cell) for cell in product(*axes.values())]
        size = self.max_batch_size or len(cells)
        results: list[JobReturn] = []
        for first in range(0, len(cells), size):
            batch = cells[first : first + size]
            results += self.cells.launch(batch, initial_job_idx=first)
            if self.stops_at_failure:
                _require_success(results)
        _require_success(results)


def _require_success(results: Sequence[JobReturn]) -> None:
    for result in results:
        # raises where a cell has failed
        _ = result.return_value


def list_values(override: Override) -> list[str]:
    """Returns one override for each value of an axis.

    Raises:
        HydraException: the axis is an interval, which has no values to list, or an empty list.
    """
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        raise HydraException(
            f"{override.input_line}: a grid needs values to list, as {key}=0.1,0.2\n"
            "hydra/sweeper=optuna draws from intervals"
        )
    values = [f"{key}={value}" for value in override.sweep_string_iterator()]
    if not values:
        raise HydraException(f"{override.input_line}: it lists no values; expected {key}=A,B")
    return values
