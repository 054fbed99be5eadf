"""The W&B logger, which decides before it starts whether it is online."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from numpy.typing import NDArray

from fcn_lab.errors import WriteFailure, first_line
from fcn_lab.pixels import VOID
from fcn_lab.rendering.pictures import Picture, draw_confusion
from fcn_lab.runs.names import UNSENT
from fcn_lab.runs.next_steps import format_sync
from fcn_lab.text.terminal import print_next, print_text
from fcn_lab.training.loggers.base import RunInfo, RunLogger, guard_library, list_class_scores
from fcn_lab.training.loggers.wandb_server import (
    choose_mode,
    name_mistake,
    tell_offline,
)
from fcn_lab.training.ranks import is_first_rank

if TYPE_CHECKING:
    import wandb

INIT_SECONDS = 15.0
# the time to send the rest when a run ends; by default W&B would wait for ever
FINISH_SECONDS = 60.0
PICTURES = "the pictures of predictions, panels/ has them"
TABLES = "the tables of the scores, metrics.json has them"


@dataclass(frozen=True)
class Wandb:
    """W&B, online where there is a key and its server answers, else offline; it never prompts.

    Args:
        project: W&B's project.
        entity: W&B's team; None is the key's own.
        group: the sweep's name.
        name: the run's name; None takes its folder's.
    """

    project: str = "fcn_lab"
    entity: str | None = None
    group: str | None = None
    name: str | None = None

    def __call__(self, run: RunInfo) -> RunLogger:
        """Returns the logger of one run; on ranks other than the first it logs nothing."""
        return WandbRunLogger(run, self.start(run) if is_first_rank() else None)

    def start(self, run: RunInfo) -> "wandb.Run":
        """Starts the W&B run, or continues that of a resumed run."""
        wandb_run = start_run(
            run.folder,
            project=self.project,
            entity=self.entity,
            group=self.group,
            name=self.name or run.folder.name,
            id=run.id,
            job_type=run.words["model"],
            tags=[run.words["model"], run.words["upsample"]],
            config=dict(run.config),
        )
        wandb_run.define_metric("trainer/global_step")
        wandb_run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return wandb_run


def start_run(folder: Path, **settings: Any) -> "wandb.Run":  # noqa: ANN401
    """Starts or continues a W&B run in `folder`; offline, with a line, where the server refuses.

    Args:
        folder: the run's folder.
        settings: further arguments of `wandb.init`.

    Raises:
        UserError: W&B does not take a name, or a variable of the environment.
    """
    # W&B caches in the home directory by default, and a run leaves nothing outside its folder
    for name in ("CACHE", "DATA"):
        os.environ.setdefault(f"WANDB_{name}_DIR", str(folder / "wandb" / name.lower()))
    # silences also what it prints before it knows the settings below
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    with name_mistake(folder):
        silence = wandb.Settings(
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
            console="off",
            silent=True,
        )
        # absolute: the service that writes has a working directory of its own
        settings |= {"dir": folder.resolve(), "resume": "allow", "settings": silence}
        mode: Any = choose_mode()
        try:
            return wandb.init(mode=mode, **settings)
        except wandb.errors.CommError as error:
            if mode == "offline":
                raise
            tell_offline(f"W&B refuses the run: {first_line(error)}")
            # W&B's service still holds the run's id
            wandb.teardown()
            return wandb.init(mode="offline", **settings)


class WandbRunLogger(RunLogger, WandbLogger):
    """A W&B run that shows predictions with masks, confusion matrices and the final scores."""

    def __init__(self, run: RunInfo, experiment: "wandb.Run | None") -> None:
        super().__init__(save_dir=str(run.folder), experiment=experiment)
        self.run = run
        self.labels = {**dict(enumerate(run.classes)), VOID: "void"}
        # what the server did not take once; it would be waited for as long again
        self.refusals: set[str] = set()

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        """Logs images under the masks of truth and prediction."""
        import wandb

        if PICTURES in self.refusals:
            return
        with self._write_whole(PICTURES):
            images = [
                wandb.Image(
                    p.image,
                    caption=p.name,
                    # takes a tenth of the disk space of PNG, every epoch
                    file_type="jpg",
                    masks={
                        "prediction": {"mask_data": p.prediction, "class_labels": self.labels},
                        "truth": {"mask_data": p.truth, "class_labels": self.labels},
                    },
                )
                for p in pictures
            ]
            self.experiment.log({f"{split}/predictions": images, "trainer/global_step": step})

    def conclude(
        self, scores: Mapping[str, float], matrices: Mapping[str, NDArray[np.int64]]
    ) -> None:
        """Logs each split's matrix and its table of classes; the scores go into the summary."""
        import wandb

        for split, matrix in matrices.items():
            if TABLES in self.refusals:
                break
            rows = [
                [name, *map(int, row)] for name, row in zip(self.run.classes, matrix, strict=True)
            ]
            by_class = list_class_scores(matrix, self.run.classes)
            with self._write_whole(TABLES):
                table = wandb.Table(columns=["truth", *self.run.classes], data=rows)
                picture = wandb.Image(draw_confusion(matrix, self.run.classes))
                scores_table = wandb.Table(
                    columns=["class", "IoU", "accuracy"], data=[*map(list, by_class)]
                )
                tables = {f"{split}/confusion_table": table, f"{split}/classes": scores_table}
                self.experiment.log({f"{split}/confusion": picture, **tables})
        with guard_library(self.run.folder):
            self.experiment.summary.update(dict(scores))

    def close(self, status: int) -> None:
        """Ends the W&B run, so that the next in this process does not write into it."""
        folder = Path(os.path.relpath(Path(self.experiment.dir).parent))
        with guard_library(self.run.folder):
            try:
                self.experiment.finish(exit_code=status)
            except TimeoutError:
                (folder / UNSENT).touch()
                print_text(
                    f"W&B did not take the whole run within {FINISH_SECONDS:.0f} s; "
                    "it is on the disk."
                )
                # a complete run prints this at its end, with all other commands
                if status != 0:
                    print_next({"To send it": format_sync([folder])})

    @contextmanager
    def _write_whole(self, content: str) -> Iterator[None]:
        """Removes the pictures that the block has begun where the disk does not take them all.

        W&B copies pictures into its folder before it logs them, and leaves those that were cut
        short. A refusal by its server is printed and ends no run.

        Args:
            content: what the block logs, and where the run's folder has it.
        """
        import wandb

        media = Path(self.experiment.dir) / "media"
        old_files = set(media.rglob("*"))
        try:
            with guard_library(self.run.folder):
                yield
        except WriteFailure:
            for path in set(media.rglob("*")) - old_files:
                # folders stay
                with suppress(OSError):
                    path.unlink()
            raise
        except (wandb.errors.Error, ConnectionError, TimeoutError) as error:
            self.refusals.add(content)
            print_text(f"W&B does not take {content}: {first_line(error)}")
