"""Scoring a network on a split and leaving the proof in the run folder."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import lightning as L
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from fcn_lab.data.frames import Frames
from fcn_lab.errors import NotWritten, Omissions
from fcn_lab.files import write_anywhere
from fcn_lab.metrics.boundaries import EdgeSummary
from fcn_lab.metrics.confusion import SplitScores, compute_scores
from fcn_lab.runs.run import RunFolder
from fcn_lab.terminal import percent, readable, say
from fcn_lab.training.datamodule import CamVidDataModule
from fcn_lab.training.module import SegmentationModule


class SplitResult(SplitScores, EdgeSummary):
    """All that metrics.json says of a split."""


@dataclass(frozen=True)
class Scored:
    """A split's scores and its confusion matrix (K,K)."""

    scores: SplitResult
    matrix: NDArray[np.int64]

    def figures(self) -> Iterator[tuple[str, float]]:
        """Name and value of all that is known of the split."""
        for name, value in overall(self.scores).values():
            if value is not None:
                yield name, value
        for name, value in self.scores["iou"].items():
            if value is not None:
                yield f"iou/{name}", value


def overall(result: SplitResult) -> dict[str, tuple[str, float | None]]:
    """By title: key and value of what is one number."""
    trimap = result["trimap_iou"]
    return {
        "mean IU": ("mean_iou", result["mean_iou"]),
        "pixel accuracy": ("pixel_accuracy", result["pixel_accuracy"]),
        "mean accuracy": ("mean_accuracy", result["mean_accuracy"]),
        "frequency weighted IU": ("fw_iou", result["fw_iou"]),
        "boundary F1": ("boundary_f1", result["boundary_f1"]),
        **{f"mean IU, {w} px to edges": (f"trimap_iou/{w}", trimap[w]) for w in trimap},
        "checkerboard index": ("checkerboard_index", result["checkerboard_index"]),
    }


def score(
    split: str,
    trainer: L.Trainer,
    module: SegmentationModule,
    data: CamVidDataModule,
    folder: RunFolder,
    omissions: Omissions,
    alone: bool = False,
) -> Scored:
    """Scores `split` and writes its confusion matrices and what was found at edges.

    Args:
        split: "val", or the one that the data module's test loader serves.
        trainer: a fresh one; one that has trained would put its averaged weights in.
        module: the network inside.
        data: the loaders.
        folder: where the matrices go.
        omissions: takes note where they cannot be written.
        alone: whether no other split of the run is scored, so that its matrices are the run's.
    """
    run = trainer.validate if split == "val" else trainer.test
    module.measure_edges()
    run(module, data, verbose=False)
    served = "val" if split == "val" else "test"
    matrices, edges = module.matrices[served], module.edges[served]
    if trainer.is_global_zero:
        frames = data.source.frames(split)
        found = matrices.numpy()
        with omissions.note():
            folder.write_confusions(
                split, frames.names, found, data.classes, frames.drives, alone, **edges.to_arrays()
            )
    total = matrices.sum(0)
    result = SplitResult(**compute_scores(total, data.classes), **edges.summarize(data.classes))
    return Scored(result, total.numpy())


def conclude(
    folder: RunFolder,
    protocol: str,
    facts: Mapping[str, object],
    scored: Mapping[str, Scored],
    omissions: Omissions,
    **shown: object,
) -> None:
    """Prints the scores and writes metrics.json, which says that the run is complete.

    Args:
        folder: the run's.
        protocol: what the scores are comparable with.
        facts: what else metrics.json says.
        scored: the splits.
        omissions: what of the run could not be written, if anything.
        shown: facts that are printed only.

    Raises:
        NotWritten: something of the run could not be; the scores then lie in the first folder that
            takes them, which the message names.
    """
    splits = {split: result.scores for split, result in scored.items()}
    metrics = {"protocol": protocol, **facts, **splits}
    if not omissions.errors:
        with omissions.note():
            folder.write_metrics(metrics)
    tell(splits, {**shown, **facts, "folder": folder.path})
    name = f"scores-{folder.run_id}.json"
    if not omissions.errors:
        with suppress(OSError):  # of an attempt that could not write them all
            (folder.path / name).unlink()
    else:
        reason, _, advice = str(omissions.errors[0]).partition("\n")
        kept = write_anywhere(name, metrics, folder.path)
        saved = f"lie in {kept}" if kept else "stand above and nowhere else"
        raise NotWritten(f"{reason} The scores {saved}.\n{advice}")


def image_size(frames: Frames) -> tuple[int, int]:
    """H and W."""
    height, width = frames.images.shape[1:3]
    return height, width


def tell(splits: Mapping[str, SplitResult], facts: Mapping[str, object]) -> None:
    """Prints the table of the scores and `facts` below it."""
    say(table(splits))
    say("\n".join(f"{name}: {readable(value)}" for name, value in facts.items()))


def table(splits: Mapping[str, SplitResult]) -> Table:
    """Per-class IU and the other scores of every split."""
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
