"""task=export: writes a network as one file that runs without this package, and checks the file.

The normalisation is part of the graph, so that each file takes RGB in 0…1, as all networks of the
lab do. The file's metadata tell what else a user must know.
"""

import importlib.metadata
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from fcn_lab.encoders.base import RGB_CHANNELS
from fcn_lab.errors import UserError, first_line
from fcn_lab.files import make_folder, write_draft, write_json
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.inference.export_formats import FORMATS, Scores
from fcn_lab.runs.checkpoint import load_best_checkpoint, load_state
from fcn_lab.runs.run import RunFolder
from fcn_lab.text.commands import format_tool
from fcn_lab.text.terminal import format_count, print_next, print_text, show_waiting

# N, H, W of the images that a file is tried with
TRIAL_SIZES = ((1, 33, 47), (2, 64, 96), (3, 1, 70))
# as a share of the largest score: other libraries add in another order
ROUNDING_LIMIT = 1e-3


class Export:
    """Writes a network, tries the file and keeps it if it computes the same.

    Args:
        net: the network as it was built.
        format: "onnx", "torch_export" or "torchscript".
        words: model, upsample, encoder.
        run: the folder of a training run, whose best weights, classes and protocol the file gets.
        output: the file; by default network.onnx, .pt2 or .pt in the task's own folder.

    Raises:
        UserError: the format is unknown, its packages are missing, or the file has another ending.
    """

    def __init__(
        self,
        net: nn.Module,
        format: str,
        words: Mapping[str, str],
        run: str | Path | None = None,
        output: str | None = None,
    ) -> None:
        if format not in FORMATS:
            raise UserError(f"format={format}: expected one of {', '.join(FORMATS)}")
        self.format = FORMATS[format]()
        if output is not None and Path(output).suffix != self.format.suffix:
            raise UserError(f"output={output}: format={format} writes a file *{self.format.suffix}")
        self.net, self.words, self.output = net, words, output
        self.source = None if run is None else Path(run)

    def run(self, folder: Path) -> None:
        """Leaves the file, and export.json with its metadata and what the trial found.

        Raises:
            UserError: the run has no weights that fit, or the file computes something else.
        """
        net, facts = self.net.eval(), {**self.words, **describe_interface(self.net)}
        if self.source is not None:
            checkpoint = load_best_checkpoint(self.source)
            load_state(net, checkpoint["state_dict"], self.source)
            facts |= {key: checkpoint[key] for key in ("classes", "palette")}
            facts["protocol"] = RunFolder(self.source).read_metrics()["protocol"]
        path = folder / f"network{self.format.suffix}" if self.output is None else Path(self.output)
        make_folder(path.parent)
        print_text(f"writing {path}, and trying it at {len(TRIAL_SIZES)} sizes")
        with write_draft(path) as draft, show_waiting("tracing the network for any size"):
            buffer = io.BytesIO()
            self.format.write(net, buffer, facts)
            draft.write_bytes(buffer.getbuffer())
            difference = measure_difference(net, self.format.read(draft))
        trial = {"largest_difference": difference, "sizes": TRIAL_SIZES}
        write_json(folder / "export.json", {"file": str(path), "metadata": facts, "trial": trial})
        channels = count_channels(net)
        sizes = ", ".join(f"{n}×{channels}×{height}×{width}" for n, height, width in TRIAL_SIZES)
        print_text(
            f"tried at {sizes}: at most {difference:.1e} of the largest score away from the network"
        )
        print_text(f"file: {path} ({path.stat().st_size / 1e6:.1f} MB)")
        trial_line = self.format.write_trial(json.dumps(str(path)), channels)
        print_next(
            {"To try the file without this package": format_tool("python", "-c", trial_line)}
        )


def describe_interface(net: nn.Module) -> dict[str, object]:
    """Returns the metadata that a user of the file needs: input, normalisation, output."""
    channels = count_channels(net)
    colours = "RGB" if channels == RGB_CHANNELS else format_count(channels, "channel")
    picture = f"float32 (N, {channels}, H, W), {colours} in 0…1"
    return {
        "fcn_lab": importlib.metadata.version("fcn-lab"),
        "input": f"image: {picture}, any N, H and W from 1 up",
        "input_range": [0, 1],
        "normalization": next(find_normalizations(net), {}),
        "output": "scores: float32 (N, K, H, W); a pixel's label is the class of the largest",
    }


def find_normalizations(net: nn.Module) -> Iterator[dict[str, object]]:
    """Yields the rule and the numbers of each normalisation of the input inside the network."""
    for name, part in net.named_modules():
        if name.rpartition(".")[2] == "normalize":
            numbers = {key: value.flatten().tolist() for key, value in part.named_buffers()}
            rule = (part.__doc__ or "").partition("\n")[0]
            yield {"inside": True, "rule": rule, **numbers}


@torch.no_grad()
def measure_difference(net: nn.Module, read_scores: Scores) -> float:
    """Returns the largest difference at any of the sizes, as a share of the largest score.

    Raises:
        UserError: the difference is more than rounding, or the file does not take a size.
    """
    largest = 0.0
    for count, height, width in TRIAL_SIZES:
        image = torch.rand(count, count_channels(net), height, width)
        scores: Tensor = net(image)
        try:
            file_scores = read_scores(image)
        except Exception as error:
            raise UserError(
                f"the file does not take {height}×{width} pixels: {first_line(error)}"
            ) from error
        difference = float((file_scores - scores).abs().max() / scores.abs().max().clamp(min=1e-30))
        if not difference <= ROUNDING_LIMIT:
            raise UserError(
                f"at {height}×{width} pixels the file's scores are {difference:.1%} of the largest "
                "away from the network's; it was not kept"
            )
        largest = max(largest, difference)
    return largest
