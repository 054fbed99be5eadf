"""task=ceilings: what a network of stride s could score if its coarse map were right.

The map at stride s holds, in each s×s cell, the share of its pixels that is of class k,

    q_k[u, v] = (1/s²) Σ_ij [y(s·u + i, s·v + j) = k],        0 ≤ i, j < s,

zeros beyond the image as the networks pad it, void of no class. It climbs to the image bilinearly,
is cut to its size, and every pixel takes its largest class: so would a network of that stride end
that knows the truth and nothing finer. No bound in the strict sense, since other values could climb
to sharper edges. Long, Shelhamer, Darrell 2015, appendix A, ask the same of PASCAL VOC.

Legend: N batch, K classes, H W image size.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.table import Table
from torch import Tensor

from fcn_lab.data.frames import Frames
from fcn_lab.files import write_json, write_table
from fcn_lab.geometry import crop_to, pad_to_multiple
from fcn_lab.metrics.confusion import SplitScores, compute_scores, confusion_matrices
from fcn_lab.tasks.predict import bar
from fcn_lab.terminal import percent, say
from fcn_lab.training.datamodule import CamVidDataModule
from fcn_lab.upsampling import Bilinear
from fcn_lab.values import Count

TITLES = {
    "mean_iou": "mean IU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "fw_iou": "frequency weighted IU",
}


class Ceilings:
    """Scores the truth of one split, `data.split`, after a way down to every stride and back up.

    Args:
        data: the data.
        strides: s of each column, powers of two from 2 up.

    Raises:
        UserError: for another stride.
    """

    def __init__(
        self, data: CamVidDataModule, strides: Sequence[Count] = (64, 32, 16, 8, 4, 2)
    ) -> None:
        self.data = data
        self.climbs = {stride: Bilinear(data.num_classes, stride) for stride in strides}

    def run(self, folder: Path) -> None:
        """Prints a table; leaves ceilings.json and ceilings.csv in `folder`."""
        say(self.data.source.describe())
        found = self.measured(self.data.source.frames(self.data.split))
        say(table(found))
        by_stride = {str(stride): score for stride, score in found.items()}
        split = self.data.split
        write_json(
            folder / "ceilings.json",
            {"protocol": self.data.protocol, "split": split, "strides": by_stride},
        )
        write_csv(folder / "ceilings.csv", found)
        say(f"split: {split}\nfolder: {folder}")

    def measured(self, frames: Frames) -> dict[int, SplitScores]:
        """Stride → scores."""
        classes = self.data.classes
        totals = {
            s: torch.zeros(len(classes), len(classes), dtype=torch.int64) for s in self.climbs
        }
        with bar() as progress:
            for label in progress.track(frames.labels, description="frames"):
                truth = torch.from_numpy(np.array(label))[None]  # (1,H,W)
                for stride, climb in self.climbs.items():
                    seen = there_and_back(truth, climb)
                    totals[stride] += confusion_matrices(seen, truth, len(classes))[0]
        return {stride: compute_scores(total, classes) for stride, total in totals.items()}


def there_and_back(labels: Tensor, climb: Bilinear) -> Tensor:
    """Labels 0…K−1 or void, (N,H,W), by way of the climb's stride → labels (N,H,W)."""
    classes = torch.arange(climb.channels).view(-1, 1, 1)
    shares = (labels.unsqueeze(1) == classes).float()  # (N,K,H,W)
    coarse = F.avg_pool2d(pad_to_multiple(shares, climb.factor), climb.factor)
    return crop_to(climb(coarse), labels).argmax(1)


def table(found: Mapping[int, SplitScores]) -> Table:
    """A column a stride."""
    shown = Table("IU in % at stride")
    for stride in found:
        shown.add_column(str(stride), justify="right")
    columns = list(found.values())
    for name in columns[0]["iou"]:
        shown.add_row(name, *(percent(column["iou"][name]) for column in columns))
    shown.add_section()
    for key, title in TITLES.items():
        shown.add_row(title, *(percent(column[key]) for column in columns))  # type: ignore[literal-required]
    return shown


def write_csv(path: Path, found: Mapping[int, SplitScores]) -> None:
    """A row a stride; a class absent from truth and prediction is left empty."""
    rows: list[dict[str, object]] = []
    for stride, score in found.items():
        overall = {key: score[key] for key in TITLES}  # type: ignore[literal-required]
        rows.append({"stride": stride, **overall, **score["iou"]})
    write_table(path, [rows[0], *(row.values() for row in rows)])
