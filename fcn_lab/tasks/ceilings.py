"""task=ceilings: computes what a network of stride s could score with a perfect coarse map.

The map at stride s holds, in each s×s cell, the share of its pixels that is of class k,

    q_k[u, v] = (1/s²) Σ_ij [y(s·u + i, s·v + j) = k],        0 ≤ i, j < s,

zeros beyond the image as the networks pad it; void belongs to no class. The map is upsampled
bilinearly and cropped to the image, and every pixel takes its largest class: the output of a
network of that stride that knows the truth and nothing finer. It is no bound in the strict sense,
since other values could give sharper edges. Long, Shelhamer, Darrell 2015, appendix A, ask the same
of PASCAL VOC.

Legend: N batch, K classes, H W image size.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Len
from rich.table import Table
from torch import Tensor

from fcn_lab.data.frames import Frames
from fcn_lab.files import write_json, write_table
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.metrics.confusion import confusion_matrices
from fcn_lab.metrics.scores import SplitScores, compute_scores
from fcn_lab.text.terminal import print_next, print_text, report_progress
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.scoring import SCORE_TITLES, build_percent_table
from fcn_lab.training.splits import require_labels
from fcn_lab.upsampling import Bilinear
from fcn_lab.values import Count, check_arguments

Strides = Annotated[Sequence[Count], Len(1)]


@check_arguments
class Ceilings:
    """Scores the truth of one split, `data.split`, downsampled to every stride and upsampled again.

    Args:
        data: the data set.
        strides: the strides s, powers of two from 2 up.

    Raises:
        UserError: there is no stride, or one is no such power of two.
    """

    def __init__(self, data: FrameDataModule, strides: Strides = (64, 32, 16, 8, 4, 2)) -> None:
        self.data = data
        self.upsamplers = {stride: Bilinear(data.num_classes, stride) for stride in strides}

    def run(self, folder: Path) -> None:
        """Prints a table; leaves ceilings.json and ceilings.csv in `folder`."""
        require_labels(self.data)
        print_text(self.data.source.describe())
        scores = self.measure(self.data.source.frames(self.data.split))
        print_text(build_table(scores))
        by_stride = {str(stride): score for stride, score in scores.items()}
        split = self.data.split
        write_json(
            folder / "ceilings.json",
            {"protocol": self.data.protocol, "split": split, "strides": by_stride},
        )
        write_csv(folder / "ceilings.csv", scores)
        print_text(f"split: {split}")
        print_next({"The table as a file": folder / "ceilings.csv"})

    def measure(self, frames: Frames) -> dict[int, SplitScores]:
        """Returns the scores by stride."""
        classes = self.data.classes
        totals = {
            s: torch.zeros(len(classes), len(classes), dtype=torch.int64) for s in self.upsamplers
        }
        for label in report_progress(frames.labels, len(frames), "frames"):
            truth = torch.from_numpy(np.array(label))[None]  # (1,H,W)
            for stride, upsampler in self.upsamplers.items():
                labels = downsample_and_upsample(truth, upsampler)
                totals[stride] += confusion_matrices(labels, truth, len(classes))[0]
        return {stride: compute_scores(total, classes) for stride, total in totals.items()}


def downsample_and_upsample(labels: Tensor, upsampler: Bilinear) -> Tensor:
    """Returns labels (N,H,W) that went through the upsampler's stride; input 0…K−1 or void."""
    classes = torch.arange(upsampler.channels).view(-1, 1, 1)
    shares = (labels.unsqueeze(1) == classes).float()  # (N,K,H,W)
    means = F.avg_pool2d(pad_to_multiple(shares, upsampler.factor), upsampler.factor)
    return crop_to(upsampler(means), labels).argmax(1)


def build_table(scores: Mapping[int, SplitScores]) -> Table:
    """Returns a table of the IoU of each class and the other scores, a column a stride."""
    scores_by_title = [
        {title: score[key] for key, title in SCORE_TITLES.items()}  # type: ignore[literal-required]
        for score in scores.values()
    ]
    columns = {str(stride): score["iou"] for stride, score in scores.items()}
    return build_percent_table("IoU in % at stride", columns, scores_by_title)


def write_csv(path: Path, scores: Mapping[int, SplitScores]) -> None:
    """Writes a row a stride; the cell of a class absent from truth and prediction is empty."""
    rows: list[dict[str, object]] = []
    for stride, score in scores.items():
        overall = {key: score[key] for key in SCORE_TITLES}  # type: ignore[literal-required]
        rows.append({"stride": stride, **overall, **score["iou"]})
    write_table(path, [rows[0], *(row.values() for row in rows)])
