"""The matrix of models × operators × encoders, read from conf/: new words join by themselves."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from segmentation_models_pytorch import MODEL_ARCHITECTURES_MAPPING
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.config.words import compose
from fcn_lab.encoders import Encoder, Features, TinyEncoder
from fcn_lab.encoders.base import STRIDE
from fcn_lab.errors import UserError
from fcn_lab.geometry import pad_to_multiple
from fcn_lab.networks.fcn import FCN
from fcn_lab.upsampling import Bilinear, TransposedConv
from support.places import CONF
from support.thin import thin_out


def name_words(value: object) -> str:
    """One of an id's parts: a word, or how many."""
    return value if isinstance(value, str) else f"{len(list(value))} operators"  # type: ignore[call-overload]


FCNS = {f"fcn{stride}s": stride for stride in (32, 16, 8, 4, 2)}
SMALL = {
    "tiny": {"widths": [8, 8, 16, 16, 16], "depths": [1, 1, 1, 1], "head_width": 16},
    "vgg16": {"head_width": 8},
    "vgg16_bn": {"head_width": 8},
    "smp": {"name": "resnet18"},
}

NARROW = {"segnet_basic": {"width": 4}, "unet_valid": {"width": 2}}


def words(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


# the published nets bring their own geometry and have tests of their own
MODELS = [word for word in words("model") if word != "smp" and not word.endswith("_caffe")]
WITH_ENCODER = {
    word for word in MODELS if "${encoder}" in (CONF / f"model/{word}.yaml").read_text()
}
# an operator that learns, the encoder with it, and the one that takes the encoder's switches
ONE_OF_EACH = ("transposed", "max_unpool")
OTHERS = tuple(word for word in words("upsample") if word not in ONE_OF_EACH)
PAIRS = list(product(sorted(WITH_ENCODER), sorted({*words("encoder")} - {"tiny"})))
CELLS = [
    *((word, "tiny", words("upsample")) for word in MODELS),
    *thin_out([(*pair, ONE_OF_EACH) for pair in PAIRS], every=15),
    *thin_out([(*pair, OTHERS) for pair in PAIRS]),
]


@cache
def node(group: str, word: str) -> dict[str, Any]:
    """The resolved node of one word."""
    config = compose([f"{group}={word}", *(["data=synthetic"] if group != "data" else [])])
    found = OmegaConf.to_container(config[group], resolve=True)
    assert isinstance(found, dict)
    return found


@cache
def encoder(word: str) -> Encoder:
    built: Encoder = instantiate(node("encoder", word) | SMALL.get(word, {}))
    return built.eval()


class Seen(Encoder):
    """An encoder that has looked at its one image already; models and operators only use it."""

    def __init__(self, encoder_: Encoder, image: Tensor) -> None:
        super().__init__()
        self.normalize = encoder_.normalize
        self.channels, self.map_channels = encoder_.channels, encoder_.map_channels
        self.head_channels = encoder_.head_channels
        with torch.no_grad():
            self.features = encoder_(pad_to_multiple(encoder_.normalize(image), STRIDE))

    def forward(self, x: Tensor) -> Features:
        return self.features


def model(word: str, upsample: str, encoder_: Encoder) -> nn.Module:
    parts: dict[str, object] = {"upsample": instantiate(node("upsample", upsample))}
    if word in WITH_ENCODER:
        # a copy, since SegNet leaves its head out
        parts["encoder"] = deepcopy(encoder_)
    settings = {k: v for k, v in node("model", word).items() if k not in ("encoder", "upsample")}
    built: nn.Module = instantiate(settings | NARROW.get(word, {}), **parts)
    return built


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(("model_word", "encoder_word", "operators"), CELLS, ids=name_words)
def test_every_cell_scores_and_learns_at_an_odd_size(
    model_word: str, encoder_word: str, operators: Sequence[str]
) -> None:
    image, whole = torch.rand(1, 3, 33, 31), encoder(encoder_word)
    seen = Seen(whole, image)
    for upsample in operators:
        net = model(model_word, upsample, whole if upsample == "transposed" else seen)
        net.zero_grad()
        scores = net(image)
        assert scores.shape == (1, 11, 33, 31), upsample
        scores.square().sum().backward()
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        assert gradients, upsample
        assert all(g.isfinite().all() for g in gradients), upsample


@pytest.mark.parametrize("model_word", MODELS)
def test_any_size_from_one_pixel_up_comes_out_as_it_went_in(model_word: str) -> None:
    for upsample in words("upsample"):
        net = model(model_word, upsample, encoder("tiny"))
        for size in ((1, 1), (1, 40), (31, 32), (64, 33)):
            with torch.no_grad():
                found = net(torch.rand(2, 3, *size)).shape
            assert found == (2, 11, *size), (upsample, size)


@pytest.mark.parametrize("arch", thin_out(MODEL_ARCHITECTURES_MAPPING, every=4))
def test_the_zoos_networks_take_any_size(arch: str) -> None:
    """Each with the smallest encoder it takes."""
    small = {"dpt": "tu-vit_tiny_patch16_224"}.get(arch, "tu-mobilenetv3_small_100")
    net = create_model("smp", **{"model.arch": arch, "model.encoder_name": small}).eval()
    with torch.no_grad():
        for size in ((1, 1), (33, 47), (97, 130)):
            assert net(torch.rand(1, 3, *size)).shape == (1, 11, *size)


@pytest.mark.parametrize("name", ["mit_b0", "tu-mobilenetv3_small_100"])
def test_encoders_without_max_pooling_have_pools_and_switches_all_the_same(name: str) -> None:
    net = create_model("fcn2s", "max_unpool", "smp", **{"encoder.name": name}).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 3, 33, 47)).shape == (1, 11, 33, 47)


@pytest.mark.parametrize("word", FCNS)
def test_each_fcn_starts_as_the_coarser_one(word: str) -> None:
    """New score layers are zero, so bilinear steps make it FCN-32s climbing by twos."""
    fine = FCN(encoder("tiny"), Bilinear, 5, FCNS[word]).eval()
    coarse = FCN(encoder("tiny"), Bilinear, 5, 32).eval()
    coarse.load_state_dict(
        {k: v for k, v in fine.state_dict().items() if "score_pool" not in k}, strict=True
    )
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        score = coarse.score_fr(coarse.encoder(coarse.encoder.normalize(x)).head)
        while score.shape[-1] < 96 // FCNS[word]:
            score = Bilinear(5, 2)(score)
        torch.testing.assert_close(fine(x), Bilinear(5, FCNS[word])(score))


@pytest.mark.parametrize(("word", "stride"), FCNS.items())
def test_the_steps_carry_the_papers_names(word: str, stride: int) -> None:
    names = {name for name, _ in create_model(word).named_children()}
    pools = [level for level in (4, 3, 2, 1) if 2**level >= stride]
    climbs = ["upscore2", *(f"upscore_pool{level}" for level in pools)][: len(pools)]
    assert names == {
        "encoder",
        "score_fr",
        "upscore",
        *climbs,
        *(f"score_pool{level}" for level in pools),
    }


def test_an_fcn_scores_a_shifted_image_by_shifted_scores() -> None:
    """A shift by the coarsest stride moves the scores by as much, far from the border."""
    net = FCN(encoder("vgg16"), TransposedConv, 4, 8).eval()
    image = torch.rand(1, 3, 32, 32 * 17)
    with torch.no_grad():
        here, there = net(image), net(image.roll(32, -1))
    centre, shifted = slice(32 * 8, 32 * 9), slice(32 * 9, 32 * 10)
    torch.testing.assert_close(here[..., centre], there[..., shifted])


@pytest.mark.parametrize("word", words("encoder"))
def test_encoders_keep_their_contract(word: str) -> None:
    built = encoder(word)
    with torch.no_grad():
        features = built(built.normalize(torch.rand(1, 3, 64, 96)))
    for level in range(1, 6):
        assert features.pools[level - 1].shape[1:] == (
            built.channels[level - 1],
            64 >> level,
            96 >> level,
        )
        finer = (built.map_channels[level - 1], 128 >> level, 192 >> level)
        assert features.maps[level - 1].shape[1:] == finer
        assert features.switches(level).shape == (1, 1, 64 >> level, 96 >> level)
    assert features.head.shape == (1, built.head_channels, 2, 3)


@pytest.mark.parametrize("word", ["vgg16", "vgg16_bn", "tiny"])
def test_pools_are_taken_after_the_pool_and_switches_where_its_maxima_were(word: str) -> None:
    built = encoder(word)
    with torch.no_grad():
        features = built(built.normalize(torch.rand(1, 3, 64, 64)))
    for level in range(2, 6):
        before, pool = features.maps[level - 1], features.pools[level - 1]
        assert torch.equal(pool, nn.functional.max_pool2d(before, 2))
        indices = features.switches(level, channels=before.shape[1])
        assert torch.equal(before.flatten(2).gather(2, indices.flatten(2)).view_as(pool), pool)
        strongest = before.mean(1, keepdim=True)
        found = strongest.flatten(2).gather(2, features.switches(level).flatten(2))
        assert torch.equal(found.flatten(), nn.functional.max_pool2d(strongest, 2).flatten())


@pytest.mark.slow
def test_vgg_is_torchvisions_own_layers() -> None:
    from torchvision.models import vgg16_bn

    theirs, ours = vgg16_bn().eval(), encoder("vgg16_bn")
    for mine, layer in zip(
        (m for stage in ours.stages for m in stage), no_pools(theirs.features), strict=True
    ):
        mine.load_state_dict(layer.state_dict())
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(x).pools[-1], theirs.features(x))


def no_pools(layers: nn.Sequential) -> list[nn.Module]:
    return [layer for layer in layers if not isinstance(layer, nn.MaxPool2d)]


@pytest.mark.parametrize("word", thin_out(words("upsample"), every=3))
def test_one_batch_can_be_learned_by_heart_with_every_operator_in_its_default_form(
    word: str,
) -> None:
    """A square and a thin pole on a plain ground."""
    image, target = street()
    net = FCN(
        TinyEncoder((8, 8, 16, 16, 16), (1, 1, 1, 1), 16, 0.0),
        instantiate(node("upsample", word)),
        3,
        2,
    )
    optimizer = torch.optim.AdamW(net.parameters(), 2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(image), target)
        loss.backward()
        optimizer.step()
    assert (net(image).argmax(1) == target).float().mean() > 0.98


def street() -> tuple[Tensor, Tensor]:
    target = torch.zeros(2, 32, 32, dtype=torch.long)
    target[0, 6:18, 4:22], target[1, 14:30, 2:14] = 1, 1
    target[:, 4:28, 26:28] = 2
    colours = torch.tensor([[0.2, 0.3, 0.4], [0.8, 0.2, 0.3], [0.5, 0.9, 0.1]])
    return colours[target].movedim(-1, 1) + 0.05 * torch.randn(2, 3, 32, 32), target


@pytest.mark.parametrize("word", words("upsample"))
def test_cells_run_in_bf16_and_channels_last_and_agree_with_float32(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[int, Tensor] = {}  # near ties may round to other switches: both passes share them
    found = Features.switches
    monkeypatch.setattr(
        Features, "switches", lambda self, level: first.setdefault(level, found(self, level))
    )
    net = FCN(TinyEncoder(), instantiate(node("upsample", word)), 11, 4).eval()
    nn.init.normal_(net.score_pool4.weight)
    x = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        exact = net(x)
        fast = net.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            rough = fast(x.contiguous(memory_format=torch.channels_last)).float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
@pytest.mark.parametrize("word", MODELS)
def test_scores_leave_every_network_in_float32(word: str, upsample: str) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert (
            model(word, upsample, encoder("tiny"))(torch.rand(2, 3, 33, 32)).dtype == torch.float32
        )


@pytest.mark.parametrize(
    ("arch", "stride"), [("unet", 2), ("fpn", 4), ("deeplabv3plus", 4), ("pspnet", 8)]
)
def test_a_network_of_the_zoo_knows_the_stride_of_its_last_climb(arch: str, stride: int) -> None:
    net = create_model("smp", **{"model.arch": arch}).eval()
    assert net.stride == stride
    found: list[Tensor] = []
    conv = net.net.segmentation_head[0]
    conv.register_forward_hook(lambda _, __, scores: found.append(scores))
    with torch.no_grad():
        assert net(torch.rand(1, 3, 64, 64)).dtype == torch.float32
    assert found[0].shape[-1] == (64 if arch == "unet" else 64 // stride)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"model.stride": 12}, r"model\.stride=12: expected one of 32, 16, 8, 4, 2"),
        ({"upsample.refine": "dense"}, "refine=dense: expected one of none, conv"),
    ],
)
def test_impossible_networks_are_refused_in_the_users_words(
    overrides: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        create_model("fcn8s", "bilinear", **overrides)


def test_unknown_encoders_of_the_zoo_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"encoder\.name=resnet35"):
        create_model("fcn8s", encoder="smp", **{"encoder.name": "resnet35"})


@pytest.mark.parametrize("word", ["vgg16", "smp"])
def test_weights_that_cannot_be_fetched_say_what_to_set_and_leave_nothing(
    word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # it retries for 30 s
    with pytest.raises(UserError, match=r"\nType encoder=lite0.* or encoder\.weights=none"):
        create_model("fcn8s", encoder=word, **{"encoder.weights": "imagenet"})
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


def test_equal_seeds_build_equal_networks() -> None:
    def state() -> dict[str, Tensor]:
        torch.manual_seed(3)
        return create_model("fcn8s").state_dict()

    first, second = state(), state()
    assert all(torch.equal(first[name], second[name]) for name in first)
