"""Scoring a network on a split and leaving the proof in the run folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import lightning as L
import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType
from rich.table import Table

from fcn_lab.data.frames import Frames
from fcn_lab.datamodule import CamVidDataModule
from fcn_lab.metrics import SplitScores, scores
from fcn_lab.module import SegmentationModule
from fcn_lab.runfolder import RunFolder


@dataclass(frozen=True)
class Scored:
    """A split's scores and its confusion matrix (K,K)."""

    scores: SplitScores
    matrix: NDArray[np.int64]

    def figures(self) -> Iterator[tuple[str, float]]:
        """Name and value of all that is known of the split."""
        yield from overall(self.scores).values()
        for name, value in self.scores["iou"].items():
            if value is not None:
                yield f"iou/{name}", value


def overall(result: SplitScores) -> dict[str, tuple[str, float]]:
    """By title: key and value of the four scores."""
    return {
        "mean IU": ("mean_iou", result["mean_iou"]),
        "pixel accuracy": ("pixel_accuracy", result["pixel_accuracy"]),
        "mean accuracy": ("mean_accuracy", result["mean_accuracy"]),
        "frequency weighted IU": ("fw_iou", result["fw_iou"]),
    }


def score(
    split: str,
    trainer: L.Trainer,
    module: SegmentationModule,
    data: CamVidDataModule,
    folder: RunFolder,
) -> Scored:
    """Scores `split` and writes its confusion matrices.

    Args:
        split: "val", or the one that the data module's test loader serves.
        trainer: a fresh one; one that has trained would put its averaged weights in.
        module: the network inside.
        data: the loaders.
        folder: where the matrices go.
    """
    run = trainer.validate if split == "val" else trainer.test
    run(module, data, verbose=False)
    matrices = module.matrices["val" if split == "val" else "test"]
    if trainer.is_global_zero:
        frames = data.source.frames(split)
        folder.write_confusions(split, frames.names, matrices.numpy(), data.classes, frames.drives)
    total = matrices.sum(0)
    return Scored(scores(total, data.classes), total.numpy())


def image_size(frames: Frames) -> tuple[int, int]:
    """H and W."""
    height, width = frames.images.shape[1:3]
    return height, width


def tell(splits: Mapping[str, SplitScores], facts: Mapping[str, object]) -> None:
    """Prints the table of the scores and `facts` below it."""
    say(table(splits))
    say("\n".join(f"{name}: {readable(value)}" for name, value in facts.items()))


def table(splits: Mapping[str, SplitScores]) -> Table:
    """Per-class IU and the four scores of every split."""
    shown = Table("IU in %")
    for split in splits:
        shown.add_column(split, justify="right")
    columns = list(splits.values())
    for name in columns[0]["iou"]:
        shown.add_row(name, *(percent(column["iou"][name]) for column in columns))
    shown.add_section()
    for title in overall(columns[0]):
        shown.add_row(title, *(percent(overall(column)[title][1]) for column in columns))
    return shown


def readable(value: object) -> str:
    """Large numbers in millions, fractions with four digits."""
    if isinstance(value, int) and value >= 1_000_000:
        return f"{value / 1e6:,.2f} M"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(value: float | None) -> str:
    """With one decimal; a class absent from truth and prediction is a dash."""
    return "–" if value is None else f"{100 * value:.1f}"


def say(content: RenderableType) -> None:
    """Prints to the terminal; where there is none, a line stays a line."""
    console = Console()
    console.print(content, soft_wrap=isinstance(content, str), highlight=False, markup=False)
