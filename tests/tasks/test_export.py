"""task=export: every file computes what its network computes, and says how it is to be used."""

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.errors import UserError
from fcn_lab.inference.export_formats import (
    FORMATS,
    METADATA,
    Format,
    Onnx,
    TorchExport,
    TorchScript,
    export_graph,
)
from fcn_lab.inference.predictor import load_predictor
from fcn_lab.networks.segnet import SegNetBasic
from fcn_lab.tasks.export import Export
from fcn_lab.upsampling import Carafe, MaxUnpool
from support.commandline import METRICS, TypeLine
from support.places import CONF
from support.tiny import WORDS, Net

CLASSES, PALETTE = ("Ground", "Square", "Unseen"), ((0, 128, 0), (200, 0, 0), (0, 0, 200))
SIZES = ((1, 1, 1), (2, 31, 45), (1, 64, 32), (3, 37, 2))
SMALL = {"encoder.widths": [4] * 5, "encoder.depths": [1] * 4, "encoder.head_width": 4}
NARROW: Mapping[str, Mapping[str, object]] = {
    "segnet_basic": {"model.width": 4},
    "unet_valid": {"model.width": 2},
    "unet": {"model.width": 4, **SMALL},
}


def agrees(format: Format, net: nn.Module, path: Path, facts: Mapping[str, object]) -> None:
    """The file gives the network's scores, in torch's own formats to the last bit.

    onnxruntime has other kernels: they may differ by what float32 rounds, in units of the scores.
    """
    net.eval()
    with path.open("wb") as file:
        format.write(net, file, facts)
    loaded = format.read(path)
    for count, height, width in SIZES:
        image = torch.rand(count, 3, height, width)
        with torch.no_grad():
            expected, found = net(image), loaded(image)
        if isinstance(format, Onnx):
            assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
        else:
            assert torch.equal(found, expected)


def lively(net: nn.Module) -> nn.Module:
    """The network with something in the layers that begin as nothing, so that all are seen."""
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net


def words(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


UNPOOL, CARAFE = partial(MaxUnpool, refine="conv"), partial(Carafe, compressed=2)


@pytest.mark.parametrize(
    ("format", "operator"),
    [
        pytest.param("onnx", UNPOOL, marks=pytest.mark.slow),
        pytest.param("torch_export", CARAFE, marks=[pytest.mark.slow, pytest.mark.long]),
        ("torchscript", UNPOOL),
        pytest.param("torchscript", CARAFE, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_a_file_takes_any_size_and_computes_the_networks_scores(
    format: str, operator: Callable[[int, int], MaxUnpool | Carafe], tmp_path: Path
) -> None:
    kind = FORMATS[format]()
    net = lively(SegNetBasic(operator, 3, width=4, levels=2))
    path = tmp_path / f"network{kind.suffix}"
    agrees(kind, net, path, {"classes": CLASSES, "protocol": "of this test"})
    assert metadata(path) == {"classes": list(CLASSES), "protocol": "of this test"}


def metadata(path: Path) -> dict[str, object]:
    """What the libraries themselves find in a file."""
    extra = {METADATA: ""}
    if path.suffix == Onnx.suffix:
        import onnx

        given = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
        return {k: json.loads(v) if v[0] == "[" else v for k, v in given.items()}
    if path.suffix == TorchExport.suffix:
        torch.export.load(path, extra_files=extra)
    else:
        with pytest.warns(FutureWarning, match="deprecated"):
            torch.jit.load(path, _extra_files=extra)
    found: dict[str, object] = json.loads(extra[METADATA])
    return found


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The folder of a run, as far as an export reads it."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    torch.manual_seed(1)
    state = {f"net.{key}": value for key, value in Net().state_dict().items()}
    checkpoint = {"state_dict": state, "classes": CLASSES, "palette": PALETTE}
    torch.save(checkpoint, run / "checkpoints" / "best.ckpt")
    (run / "metrics.json").write_text('{"protocol": "squares3", "test": {"mean_iou": 0.5}}')
    return run


def test_a_run_is_exported_with_its_weights_classes_and_protocol(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out" / "squares.pt"
    Export(Net(), "torchscript", WORDS, trained, str(file)).run(tmp_path)
    found = metadata(file)
    assert (found["classes"], found["protocol"]) == (list(CLASSES), "squares3")
    assert found["palette"] == [list(colour) for colour in PALETTE]
    assert {key: found[key] for key in WORDS} == WORDS
    assert json.loads((tmp_path / "export.json").read_text())["metadata"] == found
    assert [path.name for path in file.parent.iterdir()] == ["squares.pt"]
    assert str(file) in capsys.readouterr().out
    image = torch.randint(256, (9, 13, 3), dtype=torch.uint8)
    loaded = TorchScript().read(file)
    labels = loaded(image.permute(2, 0, 1)[None].float() / 255).argmax(1)[0]
    expected = load_predictor(Net(), trained)(image.numpy())
    assert torch.equal(labels, torch.from_numpy(expected).long())


@pytest.mark.parametrize("model", ["fcn32s", "segnet_basic", "fcn32s_caffe"])
def test_the_preprocessing_is_told_and_is_inside(model: str, tmp_path: Path) -> None:
    small = {"model.head_width": 2, "model.width": 2} if "caffe" in model else {}
    net = create_model(model, "nearest", **{**NARROW.get(model, {}), **small})
    Export(net, "torchscript", WORDS).run(tmp_path)
    told = metadata(tmp_path / "network.pt")
    assert told["input_range"] == [0, 1]
    rule = told["normalization"]
    assert isinstance(rule, dict)
    assert rule["rule"]
    assert "\n" not in rule["rule"]
    numbers = [torch.tensor(rule[key]).view(3, 1, 1) for key in ("mean", "std") if key in rule]
    image = torch.rand(1, 3, 2, 2)
    part = next(m for n, m in net.named_modules() if n.rpartition(".")[2] == "normalize")
    by_hand = (
        (image - numbers[0]) / numbers[1] if "std" in rule else image.flip(1) * 255 - numbers[0]
    )
    torch.testing.assert_close(part(image), by_hand)


def test_a_network_of_four_channels_is_exported_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = create_model("fcn8s", "nearest", in_channels=4, **SMALL)
    Export(net, "torchscript", WORDS).run(tmp_path)
    assert "(N, 4, H, W), 4 channels in 0…1" in str(metadata(tmp_path / "network.pt")["input"])
    printed = capsys.readouterr().out
    assert "1×4×" in printed
    assert "torch.rand(1, 4, 360, 480)" in printed


class Wrong(TorchScript):
    """A format that loses something."""

    def read(self, path: Path) -> Callable[[Tensor], Tensor]:
        right = super().read(path)
        return lambda image: right(image) * 1.01


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.tasks.export.FORMATS", {"wrong": Wrong})
    with pytest.raises(UserError, match=r"33×47 .* 1\.0% .*not kept"):
        Export(Net(), "wrong", WORDS, output=str(tmp_path / "out" / "net.pt")).run(tmp_path)
    assert not list((tmp_path / "out").iterdir())


def test_what_cannot_be_exported_is_refused_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UserError, match=r"format=tflite: expected one of onnx, torch_export"):
        Export(Net(), "tflite", WORDS)
    with pytest.raises(UserError, match=r"output=net\.onnx: format=torchscript .* \*\.pt"):
        Export(Net(), "torchscript", WORDS, output="net.onnx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"onnx: pip install 'fcn-lab\[export\]'"):
        Export(Net(), "onnx", WORDS)


def test_run_and_output_may_be_left_out_and_are_the_commands_own(type_line: TypeLine) -> None:
    bare = type_line("task=export", "model=fcn8s").config["task"]
    assert (bare["run"], bare["output"], bare["format"]) == (None, None, "onnx")
    type_line("model=fcn2s", "data=synthetic", "hydra.run.dir=first")
    Path("first/metrics.json").write_text(METRICS)
    task = type_line("task=export", "run=first", "format=torchscript", "output=a.pt").config["task"]
    assert (task["run"], task["output"], task["format"]) == ("first", "a.pt", "torchscript")
    assert task["net"]["stride"] == 2


NETWORKS: Sequence[tuple[str, str, str, Mapping[str, object]]] = [
    *((model, "bilinear", "tiny", SMALL) for model in ("fcn32s", "fcn2s", "unet", "unet_valid")),
    *((model, "max_unpool", "tiny", SMALL) for model in ("fcn8s", "segnet")),
    ("fcn8s_caffe", "bilinear", "tiny", {"model.head_width": 4, "model.width": 4}),
    ("fcn8s", "bilinear", "vgg16_bn", {"encoder.head_width": 4}),
    ("fcn8s", "bilinear", "smp", {"encoder.name": "resnet18"}),
    ("smp", "bilinear", "tiny", {}),
]


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[nn.Module], None]:
    def check(net: nn.Module) -> None:
        graph = export_graph(lively(net).eval())  # two formats begin with it, which takes most time
        monkeypatch.setattr("fcn_lab.inference.export_formats.export_graph", lambda net: graph)
        for kind in FORMATS.values():
            agrees(kind(), net, tmp_path / f"network{kind.suffix}", {})

    return check


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("word", words("upsample"))
def test_every_operator_exports_in_every_format(
    word: str, exports: Callable[[nn.Module], None]
) -> None:
    operator = instantiate(OmegaConf.load(CONF / "upsample" / f"{word}.yaml"))
    exports(SegNetBasic(operator, 3, width=4, levels=2))


# half a minute each: the switches of an FCN, of SegNet and the networks of the zoo stand for all
CORNERS = [("fcn8s", "max_unpool"), ("segnet", "max_unpool"), ("smp", "bilinear")]
KINDS = [
    pytest.param(*one, marks=[] if one[:2] in CORNERS else [pytest.mark.long]) for one in NETWORKS
]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "upsample", "encoder", "settings"), KINDS)
def test_every_kind_of_network_exports_in_every_format(
    model: str,
    upsample: str,
    encoder: str,
    settings: Mapping[str, object],
    exports: Callable[[nn.Module], None],
) -> None:
    exports(create_model(model, upsample, encoder, **{**settings, **NARROW.get(model, {})}))
