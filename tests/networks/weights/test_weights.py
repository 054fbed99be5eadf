"""The published nets against a reference written from their layer table, and weights by name."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fcn_lab import create_model
from fcn_lab.errors import UserError
from fcn_lab.geometry.alignment import Crops
from fcn_lab.networks.fcn import FCN
from fcn_lab.networks.weights.published import (
    export_published,
    load_published,
    name_parameters,
    published_fcn,
)
from support.commandline import TypeLine
from support.published import CONVOLUTIONS, NETS, reference

K = 3
SMALL: dict[str, object] = {"model.head_width": 6, "model.width": 4}


def small(word: str, **more: object) -> FCN:
    net = create_model(word, num_classes=K, **{**SMALL, **more})
    assert isinstance(net, FCN)
    return net.double().eval()


@pytest.fixture
def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random_state(net: FCN, drawn: torch.Generator) -> dict[str, Tensor]:
    """Dense, with weights of which each layer keeps the size of its input, and bilinear climbs."""
    state = export_published(net, dense=True)
    for name, tensor in state.items():
        if not name.startswith("upscore"):
            fan = tensor[0].numel() if tensor.dim() > 1 else 1
            noise = torch.randn(tensor.shape, generator=drawn, dtype=torch.float64)
            state[name] = noise * (2 / fan) ** 0.5
    return {name: tensor.double() for name, tensor in state.items()}


@pytest.mark.parametrize("groups", [None, 1])
@pytest.mark.parametrize("word", NETS)
def test_the_published_nets_equal_a_reference_written_from_their_layer_table(
    word: str, groups: int | None, drawn: torch.Generator
) -> None:
    net = small(word, **{"model.groups": groups})
    for _ in range(2):
        state = random_state(net, drawn)
        load_published(net, state)
        h, w = torch.randint(1, 120, (2,), generator=drawn).tolist()
        image = torch.rand(2, 3, h, w, generator=drawn, dtype=torch.float64)
        with torch.no_grad():
            ours, theirs = net(image), reference(word, state, image)
        assert ours.shape == theirs.shape == (2, K, h, w)
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


@pytest.mark.parametrize("word", NETS)
def test_the_crops_a_net_computes_are_the_published_ones(word: str) -> None:
    crops = small(word).alignment
    assert isinstance(crops, Crops)
    assert (*crops.offsets.values(), crops.last_offset) == NETS[word].crops


def test_at_full_width_the_tensors_have_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        net = published_fcn(21, 8)
        shapes = {name: tuple(tensor.shape) for name, tensor in name_parameters(net).items()}
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    names = [f"conv{i}_{j}" for i, n in enumerate(CONVOLUTIONS, 1) for j in range(1, n + 1)]
    expected = {
        **{f"{n}.weight": (o, i, 3, 3) for n, (i, o) in zip(names, pairwise(widths), strict=True)},
        **{"fc6.weight": (4096, 512, 7, 7), "fc7.weight": (4096, 4096, 1, 1)},
        **{"score_fr.weight": (21, 4096, 1, 1)},
        **{"score_pool4.weight": (21, 512, 1, 1), "score_pool3.weight": (21, 256, 1, 1)},
    }
    expected |= {name.replace("weight", "bias"): shape[:1] for name, shape in expected.items()}
    climbs = {"upscore2": 4, "upscore_pool4": 4, "upscore8": 16}
    expected |= {f"{name}.weight": (21, 1, k, k) for name, k in climbs.items()}
    assert shapes == expected


@pytest.mark.parametrize("dense", [False, True])
def test_weights_come_back_out_as_they_went_in(dense: bool, drawn: torch.Generator) -> None:
    net = small("fcn8s_caffe")
    state = random_state(net, drawn)
    exported = export_published(load_published(net, state), dense)
    assert exported.keys() == state.keys()
    for name, tensor in exported.items():
        own = state[name] if dense or "upscore" not in name else diagonal(state[name])
        assert torch.equal(tensor, own), name


def diagonal(dense: Tensor) -> Tensor:
    return torch.stack([dense[c, c] for c in range(len(dense))])[:, None]


def test_deconvolutions_are_frozen_and_start_bilinear() -> None:
    net = small("fcn16s_caffe")
    climbs = {n: p for n, p in net.named_parameters() if "upscore" in n}
    assert len(climbs) == 2
    assert not any(p.requires_grad for p in climbs.values())
    ramp = torch.arange(8.0).double().expand(1, K, 8, 8)
    climbed = net.upscore2(ramp)[..., 4:-4, 4:-4]
    steps = climbed.diff(dim=-1)
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5))


def drop_scores(state: dict[str, Tensor]) -> None:
    """What is left is a classifier's weights, one of them missing."""
    for name in [name for name in state if name.startswith(("score", "upscore", "conv3_2.bias"))]:
        del state[name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("conv3_2.bias"), r"missing: conv3_2\.bias"),
        (drop_scores, r"missing: conv3_2\.bias"),
        (lambda s: s.update(score_pool2=s["fc7.bias"]), r"not of this network: score_pool2"),
        (lambda s: s.update({"fc6.bias": torch.zeros(9)}), r"fc6\.bias has the shape \(9,\)"),
        (lambda s: s["upscore2.weight"].fill_(1), r"upscore2.* model\.groups=1"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded(
    change: Callable[[dict[str, Tensor]], object], said: str, drawn: torch.Generator
) -> None:
    net = small("fcn8s_caffe")
    before, state = export_published(net), random_state(net, drawn)
    change(state)
    with pytest.raises(UserError, match=said):
        load_published(net, state)
    assert all(torch.equal(t, before[name]) for name, t in export_published(net).items())


def test_other_networks_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fcn8s_caffe"):
        load_published(create_model("fcn8s"), {})  # type: ignore[arg-type]
    broken = tmp_path / "broken.pth"
    broken.write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    for path in (tmp_path / "nowhere.pth", broken, tmp_path / "list.pth"):
        with pytest.raises(UserError, match=f"weights={path}: expected a state dict"):
            small("fcn32s_caffe", weights=str(path))


def test_a_file_of_weights_is_read_by_the_word_of_the_command_line(
    tmp_path: Path, drawn: torch.Generator
) -> None:
    state = random_state(small("fcn16s_caffe"), drawn)
    torch.save({"epoch": 3, "model_state_dict": state}, tmp_path / "net.pth")
    net = small("fcn16s_caffe", weights=str(tmp_path / "net.pth"))
    found = export_published(net, dense=True)
    for name, tensor in state.items():
        torch.testing.assert_close(found[name], tensor.float().double())


def test_weights_for_a_net_that_reads_none_are_refused(type_line: TypeLine) -> None:
    assert "weights" in type_line("model=fcn8s_caffe", "weights=net.pth").config["task"]["net"]
    ended = type_line("model=fcn8s", "weights=net.pth")
    assert ended.status == 2
    told = "weights=net.pth: model=fcn8s reads no published weights"
    assert told in ended.err
    with pytest.raises(UserError, match=told):
        create_model("fcn8s", weights="net.pth")


def test_maps_that_no_crop_aligns_are_refused() -> None:
    with pytest.raises(UserError, match="cannot be cut"):
        published_fcn(2, 8, padding=30, width=2, head_width=2)
