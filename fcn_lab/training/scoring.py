"""Scores a network on a split, and writes the scores and the matrices behind them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import lightning as L
import numpy as np
from numpy.typing import NDArray
from rich.table import Column, Table

from fcn_lab.data.frames import Frames
from fcn_lab.errors import Omissions, WriteFailure
from fcn_lab.files import write_anywhere
from fcn_lab.metrics.boundaries import EdgeSummary
from fcn_lab.metrics.scores import SplitScores, compute_scores
from fcn_lab.runs.next_steps import list_run_steps
from fcn_lab.runs.run import RunFolder
from fcn_lab.text.escaping import UNKNOWN_VALUE
from fcn_lab.text.terminal import format_number, format_percent, print_next, print_text
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.loggers.base import RunLogger
from fcn_lab.training.module import SegmentationModule
from fcn_lab.training.ranks import is_first_rank

SCORE_TITLES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "fw_iou": "frequency weighted IoU",
}


class SplitResult(SplitScores, EdgeSummary):
    """The entry of a split in metrics.json."""


@dataclass(frozen=True)
class ScoredSplit:
    """A split's scores and its confusion matrix (K,K)."""

    scores: SplitResult
    matrix: NDArray[np.int64]

    def list_scores(self) -> Iterator[tuple[str, float]]:
        """Yields name and value of every score that the split has."""
        for name, value in list_overall_scores(self.scores).values():
            if value is not None:
                yield name, value
        for key in ("iou", "accuracy"):
            for name, value in self.scores[key].items():
                if value is not None:
                    yield f"{key}/{name}", value


def list_overall_scores(result: SplitResult) -> dict[str, tuple[str, float | None]]:
    """Returns key and value of each score that is one number, by its printed title."""
    trimap = result["trimap_iou"]
    return {
        **{title: (key, result[key]) for key, title in SCORE_TITLES.items()},  # type: ignore[literal-required]
        "boundary F1": ("boundary_f1", result["boundary_f1"]),
        **{f"mean IoU, {w} px to edges": (f"trimap_iou/{w}", trimap[w]) for w in trimap},
        "checkerboard index": ("checkerboard_index", result["checkerboard_index"]),
    }


def score_split(
    split: str,
    trainer: L.Trainer,
    module: SegmentationModule,
    data: FrameDataModule,
    folder: RunFolder,
    omissions: Omissions,
    is_only: bool = False,
) -> ScoredSplit:
    """Scores `split`; writes its confusion matrices and what was measured at boundaries.

    Args:
        split: "val", or the split that the data module's test loader serves.
        trainer: a new trainer; one that has trained would load its averaged weights.
        module: holds the network.
        data: gives the loaders.
        folder: the run's folder, which gets the matrices.
        omissions: notes matrices that cannot be written.
        is_only: whether this is the only split that the run scores.
    """
    run = trainer.validate if split == "val" else trainer.test
    module.measure_edges()
    run(module, data, verbose=False)
    loader = "val" if split == "val" else "test"
    matrices, edges = module.matrices[loader], module.edges[loader]
    if is_first_rank():
        frames, counts = data.source.frames(split), matrices.numpy()
        measures = edges.to_arrays()
        with omissions.note():
            folder.write_confusions(
                split, frames.names, counts, data.classes, frames.drives, is_only, **measures
            )
    total = matrices.sum(0)
    result = SplitResult(**compute_scores(total, data.classes), **edges.summarize(data.classes))
    return ScoredSplit(result, total.numpy())


def conclude_loggers(
    loggers: Sequence[RunLogger], results: Mapping[str, ScoredSplit], omissions: Omissions
) -> None:
    """Gives every logger the final scores, named by split, and the confusion matrices."""
    values = {f"{s}/{name}": value for s, r in results.items() for name, value in r.list_scores()}
    for logger in loggers if is_first_rank() else ():
        with omissions.note():
            logger.conclude(values, {split: result.matrix for split, result in results.items()})


def publish_scores(
    folder: RunFolder,
    protocol: str,
    facts: Mapping[str, object],
    results: Mapping[str, ScoredSplit],
    omissions: Omissions,
    **printed_facts: object,
) -> None:
    """Prints the scores and what to do next, and writes metrics.json: the run is complete.

    Args:
        folder: the run's folder.
        protocol: the protocol of the scores.
        facts: further entries of metrics.json.
        results: the scores by split.
        omissions: the files of the run that could not be written.
        printed_facts: facts that are printed and not written.

    Raises:
        WriteFailure: a file of the run could not be written; the message names the folder that took
            the scores instead.
    """
    splits = {split: result.scores for split, result in results.items()}
    metrics = {"protocol": protocol, **facts, **splits}
    if not omissions.errors:
        with omissions.note():
            folder.write_metrics(metrics)
    print_scores(splits, {**printed_facts, **facts, "folder": folder.path})
    name = f"scores-{folder.run_id}.json"
    if not omissions.errors:
        # left by an attempt that could not write all of them
        with suppress(OSError):
            (folder.path / name).unlink()
        print_next(list_run_steps(folder.path))
    else:
        reason, _, advice = str(omissions.errors[0]).partition("\n")
        path = write_anywhere(name, metrics, folder.path)
        refuge = f"lie in {path}" if path else "stand above and nowhere else"
        raise WriteFailure(f"{reason} The scores {refuge}.\n{advice}")


def image_size(frames: Frames) -> tuple[int, int]:
    """Returns the height and width of the frames, in pixels; of several sizes the middle one."""
    sizes = sorted(frames.sizes, key=lambda size: (size[0] * size[1], size))
    return sizes[len(sizes) // 2]


def print_scores(splits: Mapping[str, SplitResult], facts: Mapping[str, object]) -> None:
    """Prints the table of the scores and `facts` below it."""
    print_text(build_score_table(splits))
    print_text("\n".join(f"{name}: {format_number(value)}" for name, value in facts.items()))


def build_score_table(splits: Mapping[str, SplitResult]) -> Table:
    """Returns a table of each class's IoU and accuracy, and the other scores below, by split."""
    columns: dict[str, Mapping[str, float | None]] = {}
    overall: list[Mapping[str, float | None]] = []
    for split, result in splits.items():
        scores = list_overall_scores(result)
        accuracies = {title: value for title, (_, value) in scores.items() if "accuracy" in title}
        columns |= {f"{split}\nIoU": result["iou"], f"{split}\naccuracy": result["accuracy"]}
        others = {title: value for title, (_, value) in scores.items() if title not in accuracies}
        overall += [others, accuracies]
    return build_percent_table("in %", columns, overall)


def build_percent_table(
    title: str,
    columns: Mapping[str, Mapping[str, float | None]],
    overall: Sequence[Mapping[str, float | None]],
) -> Table:
    """Returns a table of shares 0…1 as percentages, in two sections of rows.

    Args:
        title: the heading above the names of the rows.
        columns: the scores of each class, by column and by class.
        overall: the further scores of each column, by title; not every column has each.
    """
    table = Table(Column(title, overflow="fold"))
    for name in columns:
        table.add_column(name, justify="right")
    by_class = list(columns.values())
    for name in by_class[0]:
        table.add_row(name, *(format_percent(column[name]) or UNKNOWN_VALUE for column in by_class))
    table.add_section()
    for name in dict.fromkeys(title for column in overall for title in column):
        cells = ((format_percent(c[name]) or UNKNOWN_VALUE) if name in c else "" for c in overall)
        table.add_row(name, *cells)
    return table
