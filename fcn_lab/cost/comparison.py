"""What networks cost for one image, side by side."""

from collections.abc import Mapping

from rich.table import Table
from torch import nn

from fcn_lab.cost.macs import count_cost
from fcn_lab.cost.measure import time_pass
from fcn_lab.cost.memory import count_peak_bytes
from fcn_lab.rendering.tables import Name, create_table
from fcn_lab.text.terminal import format_duration, format_number


def compare_costs(nets: Mapping[str, nn.Module], height: int, width: int) -> Table:
    """Returns a table of the MACs, seconds and memory of each network for one image.

    Args:
        nets: the networks by name; they are left in evaluation mode.
        height: the image's height in pixels.
        width: the image's width in pixels.
    """
    # the first pass of all costs more
    time_pass(next(iter(nets.values())).eval(), height, width)
    table = create_table(("scores", "MACs", "time", "memory of the maps, MB"))
    for name, net in nets.items():
        net.eval()
        megabytes = count_peak_bytes(net, height, width) / 1e6
        macs = count_cost(net, height, width).macs
        table.add_row(
            Name(name),
            format_number(macs),
            format_duration(time_pass(net, height, width)),
            f"{megabytes:.1f}",
        )
    return table
