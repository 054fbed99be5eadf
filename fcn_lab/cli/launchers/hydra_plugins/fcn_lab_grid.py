"""The sweeper behind ``python run.py -m``: every combination of the values given."""

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser


class GridSweeper(BasicSweeper):
    """Hydra's own combinations; their composition and their folder are left to CellLauncher.

    That one composes all cells before the first starts, so that a wrong word is told as early, and
    writes nothing for a command that it refuses.
    """

    def sweep(self, arguments: list[str]) -> None:
        assert self.launcher is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        axes = parser.parse_overrides([*self._parse_config(), *arguments])
        first = 0
        for batch in self.split_arguments(axes, self.max_batch_size):
            for result in self.launcher.launch(batch, initial_job_idx=first):
                _ = result.return_value  # raises where a cell has failed
            first += len(batch)
