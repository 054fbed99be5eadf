"""Selects what a dashboard shows, in W&B's terms: runs, their keys, and the varied factors.

The terms are those of fcn_lab/training/loggers/wandb_run.py: W&B's group is the sweep, a run is
named as its arm, its config is the frozen one, and its keys are SPLIT/SCORE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fcn_lab.report.arms import format_factor
from fcn_lab.report.study import Study
from fcn_lab.runs.names import NETWORK_WORDS

# the tables in the W&B run that holds the study's results, and the run's job type
TABLES = ("arms", "differences", "classes")
JOB_TYPE = "report"


@dataclass(frozen=True)
class Selection:
    """The runs of a study on W&B.

    Attributes:
        groups: W&B's groups, a sweep each; empty where the runs belong to no sweep.
        split: the split that was scored.
        classes: the names of the K classes.
        axes: the keys in W&B's config of what was varied: skips, operators and everything else.
    """

    groups: tuple[str, ...]
    split: str
    classes: tuple[str, ...]
    axes: dict[str, str]

    @classmethod
    def from_study(cls, study: Study) -> "Selection":
        """Selects the runs of a study by what they recorded."""
        groups = dict.fromkeys(str(run.config.get("group") or "") for run in study.runs)
        factors = dict.fromkeys(("model", "upsample", *study.factors))
        axes = {
            format_factor(factor): find_config_key(factor, study.first_run.config)
            for factor in factors
        }
        names = tuple(group for group in groups if group)
        return cls(names, study.first_run.split, study.first_run.classes, axes)

    @property
    def score(self) -> str:
        """Returns the key of the study's score in W&B's summary of a run."""
        return f"{self.split}/mean_iou"

    @property
    def name(self) -> str:
        """Returns the title of the workspace and of the report."""
        return f"{' and '.join(self.axes)}, {', '.join(self.groups) or 'all runs'}"


def find_config_key(factor: str, config: Mapping[str, Any]) -> str:
    """Returns the config's key of a factor's value: one of the words, or a plain key."""
    if factor in NETWORK_WORDS:
        return f"words.{factor}"
    return f"choices.{factor}" if factor in config.get("choices", ()) else factor
