"""What a dashboard is about, in W&B's terms: which runs, which keys of them, and what was varied.

The terms are those of fcn_lab/training/loggers/wandb_run.py: W&B's group is the sweep, a run is
named as its arm, its config is the frozen one, and its keys are SPLIT/SCORE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fcn_lab.report.study import Study, title

WORDS = ("model", "upsample", "encoder")  # the words that have a key of their own in a config
TABLES = ("arms", "differences", "classes")  # of the run that holds the study's results
JOB = "report"  # its job type


@dataclass(frozen=True)
class Subject:
    """The runs of a study on W&B.

    Attributes:
        groups: W&B's groups, a sweep each; none where the runs are of no sweep.
        split: the scored one.
        classes: K names.
        axes: skips, operators and whatever else was varied: the key of W&B's config of each.
    """

    groups: tuple[str, ...]
    split: str
    classes: tuple[str, ...]
    axes: dict[str, str]

    @classmethod
    def of(cls, study: Study) -> "Subject":
        """As the runs were recorded."""
        groups = dict.fromkeys(str(run.config.get("group") or "") for run in study.runs)
        varied = dict.fromkeys(("model", "upsample", *study.factors))
        axes = {title(factor): config_key(factor, study.first.config) for factor in varied}
        named = tuple(group for group in groups if group)
        return cls(named, study.first.split, study.first.classes, axes)

    @property
    def score(self) -> str:
        """The summary's key of what the study asks for."""
        return f"{self.split}/mean_iou"

    @property
    def name(self) -> str:
        """Of the workspace and the report."""
        return f"{' and '.join(self.axes)}, {', '.join(self.groups) or 'all runs'}"


def config_key(factor: str, config: Mapping[str, Any]) -> str:
    """Where a config says what a factor's value is: under the words, or at the plain key."""
    if factor in WORDS:
        return f"words.{factor}"
    return f"choices.{factor}" if factor in config.get("choices", ()) else factor
