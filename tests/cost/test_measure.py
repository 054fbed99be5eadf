"""The cost sheet: counts against closed forms and SegNet's argument, and the files it leaves."""

import csv
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fcn_lab.api import build_network, create_model
from fcn_lab.cost.busyness import describe_busyness
from fcn_lab.cost.figure import draw_costs, render_costs
from fcn_lab.cost.macs import count_cost
from fcn_lab.cost.measure import measure_parts, time_pass
from fcn_lab.cost.parts import PARTS, PartCost
from fcn_lab.cost.sheet import Grid
from fcn_lab.errors import UserError
from fcn_lab.networks.segnet import SegNetBasic
from fcn_lab.tasks.profile import Profile
from fcn_lab.upsampling import MaxUnpool, Upsampling
from support import fakeruns
from support.thin import thin_out

WORDS = {"model": "fcn8s", "upsample": "bilinear", "encoder": "tiny"}


def macs_by_formula(net: nn.Module, height: int, width: int) -> int:
    """Every convolution by hand: k² · C_in/groups for each value on its larger side."""
    total = 0

    def add(conv: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
        transposed = isinstance(conv, nn.ConvTranspose2d)
        values = given[0].numel() if transposed else out.numel()
        seen = (conv.out_channels if transposed else conv.in_channels) // conv.groups
        total += values * seen * conv.kernel_size[0] * conv.kernel_size[1]

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(add)
    with torch.no_grad():
        net.eval()(torch.rand(1, 3, height, width))
    return total


@pytest.mark.parametrize(
    ("model", "upsample"),
    thin_out(
        product(
            ("fcn32s", "fcn2s", "segnet", "unet"),
            ("transposed", "nearest", "up_conv", "pixel_shuffle"),
        ),
        every=5,
    ),
)
def test_operations_agree_with_the_formula_of_each_layer_and_with_torchs_counter(
    model: str, upsample: str
) -> None:
    net = create_model(model, upsample)
    parts = measure_parts(net, 64, 96, repeats=0)
    assert parts["total"].macs == count_cost(net, 64, 96).macs
    assert parts["total"].macs == pytest.approx(macs_by_formula(net, 64, 96), rel=0.01)
    assert sum(parts[part].macs for part in PARTS) == parts["total"].macs


def test_parameters_are_shared_out_whole() -> None:
    net = create_model("fcn8s", "transposed", **{"upsample.refine": "conv"})
    parts = measure_parts(net, 32, 32, repeats=0)
    own = [p.numel() for m in net.modules() if isinstance(m, Upsampling) for p in m.parameters()]
    assert parts["upsampling"].params == sum(own)
    backbone = sum(p.numel() for n, p in net.encoder.named_parameters() if "head" not in n)
    assert parts["encoder"].params == backbone
    assert parts["total"].params == sum(p.numel() for p in net.parameters())


def test_bytes_written_and_kept_are_those_of_the_maps() -> None:
    """A convolution keeps its input, here the image; a sigmoid its output; a sum nothing."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 2, 1))
    total = measure_parts(net, 8, 16, repeats=0)["total"]
    pixel = 8 * 16 * 4
    assert total.activations == (4 + 4 + 2) * pixel
    assert total.kept == 4 * pixel


def test_switches_instead_of_maps_save_what_segnet_says() -> None:
    """64 maps of 180×240 in float32 are 11 MB; the switches of their 2×2 windows 0.17 MB."""
    with torch.device("meta"):
        one, two = (
            measure_parts(SegNetBasic(MaxUnpool, 11, levels=levels), 360, 480, repeats=0)["total"]
            for levels in (1, 2)
        )
    maps, switches = two.maps - one.maps, two.switches - one.switches
    assert maps == 64 * 180 * 240 * 4
    assert switches == 64 * 90 * 120 * 2 // 8
    assert (round(maps / 1e6), round(switches / 1e6, 2)) == (11, 0.17)


def test_a_pass_holds_at_least_what_it_keeps_and_takes_time_in_every_part() -> None:
    parts = measure_parts(create_model("fcn8s", "max_unpool"), 48, 64, repeats=1)
    total = parts["total"]
    assert total.peak >= total.kept > 0
    assert total.forward == pytest.approx(sum(parts[part].forward for part in PARTS))
    assert min(total.forward, total.backward) > 0
    again = measure_parts(create_model("fcn8s", "max_unpool"), 48, 64, 0, parts)
    counts = [replace(cost, forward=0, backward=0) for cost in parts.values()]
    assert [*again.values()] == counts


def test_a_network_of_four_channels_is_timed_on_them() -> None:
    net = create_model("fcn32s", "nearest", in_channels=4).eval()
    assert time_pass(net, 32, 32) > 0


def test_networks_take_turns_and_the_sheet_has_the_median_of_each_with_its_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    took, order = iter((0.004, 0.2, 0.001, 0.1, 0.002, 0.6)), []

    def measure(net: nn.Module, *given: object) -> dict[str, PartCost]:
        # what was counted in the first turn is handed on
        assert len(given) == (3 if net not in order else 4)
        order.append(net)
        own = PartCost(params=7, forward=next(took), backward=0.5)
        return {**dict.fromkeys(PARTS, PartCost()), "total": own}

    monkeypatch.setattr("fcn_lab.tasks.profile.measure_parts", measure)
    monkeypatch.setattr("fcn_lab.cost.busyness.os.getloadavg", lambda: (99.0, 0, 0))
    made = {name: nn.Identity() for name in ("slow", "fast")}
    Profile(create_model(), [32, 48], WORDS, turns=3)._write_sheet(
        {("fcn8s", name, "tiny"): (lambda net=net: net) for name, net in made.items()}, [], tmp_path
    )
    assert order == [*made.values()] * 3
    with (tmp_path / "costs.csv").open(newline="") as file:
        totals = [row for row in csv.DictReader(file) if row["part"] == "total"]
    times = [[float(row[key]) for key in ("forward", "fastest", "slowest")] for row in totals]
    assert times == [pytest.approx([0.002, 0.501, 0.504]), pytest.approx([0.2, 0.6, 1.1])]
    assert [row["params"] for row in totals] == ["7", "7"]
    assert "load average 99.0" in capsys.readouterr().out
    table = (tmp_path / "costs.md").read_text()
    assert "| 501–504 |" in table
    assert "load average 99.0" in table


@pytest.mark.parametrize(
    ("load", "share", "signs"),
    [
        (0.4, 0.97, ""),
        (0.4, None, ""),
        (1.2, 0.97, "1.2 on 2 cores"),
        (0.1, 0.5, "got 50 % of a core"),
    ],
)
def test_a_busy_machine_is_told_of(load: float, share: float | None, signs: str) -> None:
    told = describe_busyness(load, 2, share)
    assert signs in told if told else not signs


def test_the_figure_tells_models_by_marker_and_operators_by_colour() -> None:
    cost = {"total": PartCost(forward=0.002, backward=0.004, fastest=0.005, slowest=0.009)}
    pairs = [("fcn8s", "nearest"), ("fcn8s", "bilinear"), ("fcn32s", "nearest")]
    costs = {(*pair, "tiny"): cost for pair in pairs}
    spec = draw_costs(costs, [(words, 0.5) for words in costs])
    looks = {trace["name"]: trace["marker"] for trace in spec["data"]}
    symbols, colours = ({n: look[k] for n, look in looks.items()} for k in ("symbol", "color"))
    assert symbols["fcn8s nearest"] == symbols["fcn8s bilinear"] != symbols["fcn32s nearest"]
    assert colours["fcn8s nearest"] == colours["fcn32s nearest"] != colours["fcn8s bilinear"]
    assert [*looks] == [" ".join(pair) for pair in pairs]
    others = draw_costs(
        {("fcn8s", "nearest", e): cost for e in "abcd"},
        [(("fcn8s", "nearest", e), 0.5) for e in "abcd"],
    )["data"]
    assert len({trace["marker"]["symbol"] for trace in others}) == 4
    assert others[0]["name"] == "fcn8s nearest a"
    first, layout = spec["data"][0], spec["layout"]
    assert (first["x"], first["y"]) == (pytest.approx([6.0]), [50.0])
    assert first["error_x"]["array"] == pytest.approx([3.0])
    assert first["error_x"]["arrayminus"] == pytest.approx([1.0])
    assert "ms" in layout["xaxis"]["title"]["text"]
    assert "%" in layout["yaxis"]["title"]["text"]
    drawn = render_costs(costs, [(words, 0.5) for words in costs])
    for part in ('id="theme"', "Time of a training step against mean IoU</h2>", "The colour is"):
        assert part in drawn


def sheet(folder: Path, *typed: str, runs: list[Path] | None = None) -> None:
    grid = Grid(["fcn32s", "fcn8s"], ["bilinear", "max_unpool"], None, typed, build_network)
    Profile(create_model(), [32, 48], WORDS, grid=grid, runs=[str(run) for run in runs or ()]).run(
        folder
    )


def test_the_sheet_has_a_row_a_cell_and_a_figure_where_there_are_runs(tmp_path: Path) -> None:
    fakeruns.write_grid(tmp_path / "sweep", ["fcn8s"], ["bilinear"], (0, 1), count=4)
    sheet(tmp_path, "upsample.refine=conv", "task=profile", "seed=3", runs=[tmp_path / "sweep"])
    with (tmp_path / "costs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * (len(PARTS) + 1)
    refined = [row for row in rows if row["upsample"] == "bilinear" and row["part"] == "upsampling"]
    assert all(int(row["params"]) > 0 for row in refined), "what was typed reaches every cell"
    table = (tmp_path / "costs.md").read_text()
    assert table.count("\n| fcn") == 4
    assert "fcn8s bilinear tiny" in (tmp_path / "costs.html").read_text()


@pytest.mark.slow
def test_a_folder_of_runs_alone_gives_the_sheet_of_their_networks_as_they_were_recorded(
    tmp_path: Path,
) -> None:
    runs = fakeruns.write_grid(tmp_path / "a=b, c", ["fcn8s"], ["bilinear", "nearest"], (0, 1))
    asked: list[Path] = []

    def build(run: Path) -> nn.Module:
        asked.append(run)
        return create_model("fcn8s", run.name.split("upsample=")[1].partition(",")[0])

    Profile(create_model(), [32, 48], WORDS, runs=str(runs), recorded=build).run(tmp_path)
    assert len(set(asked)) == 2  # and not one a seed
    table = (tmp_path / "costs.md").read_text()
    assert table.count("\n| fcn8s ") == 2
    drawn = (tmp_path / "costs.html").read_text()
    assert drawn.count('"fcn8s bilinear tiny"') == drawn.count('"fcn8s nearest tiny"') == 2


def test_other_models_are_compared_on_the_same_data_with_the_same_parts() -> None:
    kept = ["upsample=bilinear", "encoder.widths=[4,4,8,8,8]", "+data.size=[32,48]", "data=voc"]
    typed = ["task=profile", "model=smp", "model.arch=fpn", "run=there", *kept, "seed=3"]
    grid = Grid(None, None, None, typed, build_network)
    assert grid.compare_models("fcn8s", "unet") == ["models=[fcn8s,unet]", *kept]


@pytest.mark.parametrize("names", [[], ["data.names=[road,car]"]])
def test_a_comparison_is_offered_only_where_its_command_would_run(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run that is read the words are known, and not the keys that data=folder needs."""
    grid = Grid(None, None, None, ["task=profile", "data=folder", *names], build_network)
    Profile(create_model(), [32, 48], WORDS, grid=grid).run(tmp_path)
    assert ("Beside others" in capsys.readouterr().out) == bool(names)


def test_folders_without_finished_runs_and_recorded_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"runs=.*no finished run"):
        sheet(tmp_path, runs=[tmp_path])
    fakeruns.write_grid(tmp_path / "other", ["fcn16s"], ["bilinear"], (0,), count=4)
    with pytest.raises(UserError, match="no finished run of one of these cells"):
        sheet(tmp_path, runs=[tmp_path / "other"])
    frames, source = fakeruns.street(4)
    odd = "synthetic11-48x64-void_ignored-odd_split"
    fakeruns.write_run(tmp_path / "other" / "odd", frames, source, protocol=odd)
    with pytest.raises(UserError, match="protocol"):
        sheet(tmp_path, runs=[tmp_path / "other"])
    with pytest.raises(UserError, match="leave out run="):
        sheet(tmp_path, "run=somewhere")
