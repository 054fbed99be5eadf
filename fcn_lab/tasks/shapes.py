"""task=shapes: prints size, stride, receptive field and position of every map of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from torch import nn

from fcn_lab.files import write_json
from fcn_lab.geometry.graph import Map
from fcn_lab.geometry.trace import TracedLayer, trace
from fcn_lab.networks.receptive_field import LAYER_RULES
from fcn_lab.rendering.tables import print_table
from fcn_lab.text.commands import format_command
from fcn_lab.text.escaping import UNKNOWN_VALUE
from fcn_lab.text.terminal import print_next
from fcn_lab.values import Size, check_arguments


@check_arguments
@dataclass
class Shapes:
    """Prints size, stride and receptive field of every layer, and where its pixel (0,0) lies.

    The numbers come from kernels, strides, paddings and dilations alone, by the algebra of
    ``fcn_lab.geometry.algebra``. Where misaligned maps were joined, pixel (0,0) lies over several
    positions, and the outermost two are given.

    Args:
        net: float RGB 0…1 (N,3,H,W) → scores (N,K,H,W).
        size: height and width of the image, in pixels.
        words: model, upsample, encoder.
        typed: the overrides of the command line.
    """

    net: nn.Module
    size: Size
    words: Mapping[str, str]
    typed: Sequence[str] = ()

    def run(self, folder: Path) -> None:
        """Prints a table and writes shapes.json."""
        rows = trace(self.net, self.size[0], self.size[1], LAYER_RULES)
        title = f"{' '.join(self.words.values())}, {list(self.size)}"
        columns = ("layer", "operation", "C×H×W", "stride", "receptive field", "(0,0) looks at")
        lines = [format_row(row) for row in rows]
        print_table(columns, lines, title, names=2)
        layers = [dict(zip(columns, line, strict=True)) for line in lines]
        write_json(
            folder / "shapes.json", {**self.words, "size": list(self.size), "layers": layers}
        )
        overrides = [override for override in self.typed if not override.startswith("task=")]
        print_next({"What it costs": format_command("task=profile", *overrides)})


def format_row(row: TracedLayer) -> Sequence[str]:
    """Returns the cells of a layer's row in the table."""
    shape = "×".join(map(str, row.shape[1:]))
    if row.maps is None:
        return row.name, row.operation, shape, UNKNOWN_VALUE, UNKNOWN_VALUE, UNKNOWN_VALUE
    rows, columns = row.maps
    positions = sorted(
        (y.shift, x.shift) for y, x in zip(rows.affines, columns.affines, strict=False)
    )
    corners = dict.fromkeys(positions[:1] + positions[-1:])
    return (
        row.name,
        row.operation,
        shape,
        " × ".join(dict.fromkeys(map(format_stride, row.maps))),
        " × ".join(dict.fromkeys(str(axis_map.receptive_field()) for axis_map in row.maps)),
        " … ".join(f"({format_number(y)}, {format_number(x)})" for y, x in corners) or "everything",
    )


def format_stride(axis_map: Map) -> str:
    """Returns the pixels of the image between neighbouring positions of a map, as text."""
    return format_number(axis_map.affines[0].scale) if axis_map.affines else UNKNOWN_VALUE


def format_number(value: Fraction) -> str:
    """Returns the number with up to ten digits, without trailing zeros."""
    return f"{float(value):.10g}"
