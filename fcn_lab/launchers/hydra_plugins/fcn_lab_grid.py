"""The sweeper behind ``python run.py -m``: every combination of the values given."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class GridSweeper(BasicSweeper):
    """Hydra's own; its trial composition is left to CellLauncher.

    That one composes all cells before the first starts, so that a wrong word is told as early.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        pass
