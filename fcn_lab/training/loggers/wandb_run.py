"""The W&B logger, which decides before it starts whether it is online."""

import netrc
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from numpy.typing import NDArray

from fcn_lab.errors import UserError, WriteFailure, find_refusal
from fcn_lab.pixels import VOID
from fcn_lab.rendering.pictures import Picture, draw_confusion
from fcn_lab.training.loggers.base import RunInfo, RunLogger, guard_library, list_class_scores
from fcn_lab.training.ranks import is_first_rank

if TYPE_CHECKING:
    import wandb

PROBE_SECONDS = 3.0
INIT_SECONDS = 15.0


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
    """Starts or continues a W&B run in `folder`; offline where the server refuses.

    Args:
        folder: the run's folder.
        settings: further arguments of `wandb.init`.

    Raises:
        UserError: W&B does not take a name, or a variable of the environment.
    """
    # W&B caches in the home directory by default, and a run leaves nothing outside its folder
    for name in ("CACHE", "DATA"):
        os.environ.setdefault(f"WANDB_{name}_DIR", str(folder / "wandb" / name.lower()))
    import wandb

    with _name_mistake(folder):
        silence = wandb.Settings(init_timeout=INIT_SECONDS, console="off", silent=True)
        # absolute: the service that writes has a working directory of its own
        settings |= {"dir": folder.resolve(), "resume": "allow", "settings": silence}
        mode: Any = choose_mode()
        try:
            return wandb.init(mode=mode, **settings)
        except wandb.errors.CommError:
            if mode == "offline":
                raise
            return wandb.init(mode="offline", **settings)


@contextmanager
def _name_mistake(folder: Path) -> Iterator[None]:
    """Turns what W&B says of the values it is given into two lines for the user."""
    import wandb

    try:
        yield
    except (wandb.errors.Error, ValueError) as error:
        if find_refusal(error, folder) is not None:
            raise
        said = " ".join(str(error).partition("For further information")[0].split())
        raise UserError(
            f"W&B does not start: {said}.\nSee to logger.wandb.project, to its other keys and to "
            "the variables WANDB_… of the environment, or type logger=csv"
        ) from error


def choose_mode() -> str:
    """Returns WANDB_MODE if set; else online with a key and a server that answers, or offline."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    import wandb

    server = urlparse(wandb.setup().settings.base_url)
    if not (os.environ.get("WANDB_API_KEY") or has_login(server.hostname or "")):
        return "offline"
    return "online" if can_connect(server.hostname or "", server.port or 443) else "offline"


def has_login(host: str) -> bool:
    """Returns whether ~/.netrc, where `wandb login` writes, has the host."""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, UnicodeError, netrc.NetrcParseError):
        return False


def can_connect(host: str, port: int) -> bool:
    """Returns whether a connection succeeds in time."""
    # looking a name up has no time-out, hence the thread
    success = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), PROBE_SECONDS).close()
        except OSError:
            return
        success.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return success.is_set()


class WandbRunLogger(RunLogger, WandbLogger):
    """A W&B run that shows predictions with masks, confusion matrices and the final scores."""

    def __init__(self, run: RunInfo, experiment: "wandb.Run | None") -> None:
        super().__init__(save_dir=str(run.folder), experiment=experiment)
        self.run = run
        self.labels = {**dict(enumerate(run.classes)), VOID: "void"}

    def show(self, split: str, pictures: Sequence[Picture], step: int) -> None:
        """Logs images under the masks of truth and prediction."""
        import wandb

        with self._write_whole():
            images = [
                wandb.Image(
                    p.image,
                    caption=p.name,
                    file_type="jpg",  # a tenth of the disk that PNG takes, every epoch
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
            rows = [
                [name, *map(int, row)] for name, row in zip(self.run.classes, matrix, strict=True)
            ]
            by_class = list_class_scores(matrix, self.run.classes)
            with self._write_whole():
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
        with guard_library(self.run.folder):
            self.experiment.finish(exit_code=status)

    @contextmanager
    def _write_whole(self) -> Iterator[None]:
        """Removes the pictures that the block has begun where the disk does not take them all.

        W&B copies them into its folder before it is told of them, and leaves what was cut short.
        """
        media = Path(self.experiment.dir) / "media"
        old_files = set(media.rglob("*"))
        try:
            with guard_library(self.run.folder):
                yield
        except WriteFailure:
            for path in set(media.rglob("*")) - old_files:
                # the folders stay
                with suppress(OSError):
                    path.unlink()
            raise
