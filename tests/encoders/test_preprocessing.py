"""Weights bring their preprocessing, or it is asked for."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from safetensors.torch import save
from torch import nn

from fcn_lab.encoders.base import IMAGENET_MEAN, IMAGENET_STD, Normalize
from fcn_lab.encoders.caffe_vgg import CaffeNormalize
from fcn_lab.encoders.smp import SmpEncoder, find_cached_weights
from fcn_lab.encoders.vgg import VGG16Encoder, load_vgg
from fcn_lab.errors import UserError
from fcn_lab.networks.smp import SmpModel
from support.server import Hub

SMALL = "tu-test_resnet"  # timm's own for tests; its weights were trained with 0.5 throughout
BYTES = b'{"mean": [102, 51, 0], "std": [51, 51, 255], "input_range": [0, 255]}'
NOWHERE = "http://127.0.0.1:9"


def numbers(net: nn.Module) -> list[list[float]]:
    assert isinstance(net.normalize, nn.Module)
    return [[round(v, 6) for v in b.flatten().tolist()] for b in net.normalize.buffers()]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The only hub there is, and an empty cache."""
    with Hub().serving() as hub:
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


def test_timms_weights_are_fetched_once_with_what_they_were_trained_with(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    whole = timm.create_model(SMALL.removeprefix("tu-"))
    hub.files["model.safetensors"] = save(whole.state_dict())
    encoder, sent = SmpEncoder(SMALL, "imagenet", head_width=2), len(hub.fetched)
    theirs = whole.state_dict()
    for name, tensor in encoder.encoder.model.state_dict().items():
        assert torch.equal(tensor, theirs[name])
    config = timm.get_pretrained_cfg(SMALL.removeprefix("tu-"))
    assert numbers(encoder) == [list(config.mean), list(config.std)]
    assert numbers(encoder) != [list(IMAGENET_MEAN), list(IMAGENET_STD)]
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", NOWHERE)
    again = SmpEncoder(SMALL, "imagenet", head_width=2)  # from the cache, and nobody is asked
    assert len(hub.fetched) == sent > 0
    assert all(
        map(torch.equal, again.encoder.state_dict().values(), encoder.encoder.state_dict().values())
    )


def test_the_librarys_weights_are_fetched_once_with_what_they_were_trained_with(hub: Hub) -> None:
    net = smp.encoders.get_encoder("resnet18", weights=None)
    hub.files["model.safetensors"] = save(net.state_dict())
    hub.files["config.json"] = BYTES
    for made in (
        SmpEncoder("resnet18", "imagenet", head_width=2),
        SmpModel(3, encoder_name="resnet18", encoder_weights="imagenet"),
    ):
        assert numbers(made) == [[0.4, 0.2, 0.0], [0.2, 0.2, 1.0]]
        inner = made.encoder if isinstance(made, SmpEncoder) else made.net.encoder
        for name, tensor in inner.state_dict().items():
            assert torch.equal(tensor, net.state_dict()[name])
    assert len(hub.fetched) == 2


def test_weights_of_another_colour_order_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"input_space": "BGR", "input_range": [0, 1], "mean": [0] * 3, "std": [1] * 3}
    monkeypatch.setattr("fcn_lab.encoders.smp.build_encoder", lambda name, wanted: FakeLevels())
    monkeypatch.setattr(
        "segmentation_models_pytorch.encoders.get_preprocessing_params", lambda *_: params
    )
    with pytest.raises(UserError, match="take BGR, expected RGB"):
        SmpEncoder("resnet18", "imagenet")


class FakeLevels(nn.Module):
    out_channels = (3, 2, 2, 2, 2, 2)


def test_torchvisions_weights_are_fetched_once_and_checked(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, packed = nn.Linear(2, 2), io.BytesIO()
    torch.save(source.state_dict(), packed)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def builder(weights: str | None) -> nn.Linear:
        net = nn.Linear(2, 2)
        if weights is not None:
            assert torchvision.models.VGG16_Weights[weights].meta["num_params"]
            place = f"{hub.endpoint}/net.pth"
            net.load_state_dict(torch.hub.load_state_dict_from_url(place, progress=False))
        return net

    hub.files["net.pth"] = packed.getvalue()
    for _ in range(2):
        net = load_vgg(builder, "imagenet")
        assert torch.equal(net.weight, source.weight)
    assert hub.fetched == ["/net.pth"]


def test_a_network_without_weights_of_its_own_says_so() -> None:
    with pytest.raises(UserError, match=r"encoder\.name=tu-efficientnet_lite1"):
        SmpEncoder("tu-efficientnet_lite1", "imagenet")
    with pytest.raises(UserError, match=r"model\.encoder_name=tu-efficientnet_lite1"):
        SmpModel(3, encoder_name="tu-efficientnet_lite1", encoder_weights="imagenet")
    assert find_cached_weights("resnet18") == {}


def test_a_network_of_the_library_is_told_of_by_its_own_keys(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^model\.encoder_weights=imgnet: expected one of none"):
        SmpModel(3, encoder_weights="imgnet")
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", NOWHERE)
    with pytest.raises(UserError) as caught:
        SmpModel(3, encoder_name=SMALL, encoder_weights="imagenet")
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"model.encoder_weights=imagenet: the weights of {SMALL} could not")
    assert second.startswith("Type model.encoder_name=tu-tf_efficientnet_lite0, 1 or 2, whose")
    assert "encoder.weights" not in str(caught.value)


def test_an_encoder_that_does_not_exist_is_named_with_one_that_does() -> None:
    for key, build in (
        ("encoder.name", lambda: SmpEncoder("resnet43")),
        ("model.encoder_name", lambda: SmpModel(3, encoder_name="resnet43")),
    ):
        with pytest.raises(UserError) as caught:
            build()
        first, second = str(caught.value).splitlines()
        assert first == f"{key}=resnet43: there is no such encoder. Did you mean resnet34?"
        assert second.startswith("Expected tu-NAME of timm's, or one of resnet18, ")


@pytest.mark.parametrize("prefix", ["", "model.", "encoder.model."])
def test_a_file_that_does_not_say_how_it_was_normalised_is_asked_for(
    prefix: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "own.pt")
    source = SmpEncoder(SMALL, head_width=2)
    inner = source.encoder.model.state_dict()
    torch.save({f"{prefix}{name}": tensor for name, tensor in inner.items()}, file)
    with pytest.raises(
        UserError, match=r"own\.pt does not say how .*\nType encoder\.mean="
    ) as told:
        SmpEncoder(SMALL, file, head_width=2)
    assert str(told.value).count("\n") == 1
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    read = SmpEncoder(SMALL, file, head_width=2, mean=mean, std=std)
    assert numbers(read) == [list(mean), list(std)]
    for name, tensor in read.encoder.model.state_dict().items():
        assert torch.equal(tensor, inner[name])
    torch.save(read.state_dict(), file)  # from here on the file says it
    assert numbers(SmpEncoder(SMALL, file, head_width=2)) == [list(mean), list(std)]
    SmpEncoder(SMALL, file, head_width=2, mean=mean, std=std)
    with pytest.raises(UserError, match=r"another preprocessing, .*mean=\[0\.1,0\.2,0\.3\]"):
        SmpEncoder(SMALL, file, head_width=2, mean=mean, std=(1, 1, 1))


def test_preprocessing_is_stated_whole_and_never_beside_weights_that_have_one() -> None:
    for half in ({"mean": (0.5, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.5)}):
        with pytest.raises(UserError, match="belong together"):
            VGG16Encoder(head_width=2, **half)  # type: ignore[arg-type]
    whole = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    with pytest.raises(UserError, match="brings its own preprocessing"):
        SmpEncoder("resnet18", "imagenet", **whole)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"encoder\.std|std="):
        VGG16Encoder(head_width=2, mean=(0.5, 0.5, 0.5), std=(0, 1, 1))


@pytest.mark.parametrize("normalize", [Normalize(), CaffeNormalize()])
def test_images_of_whole_numbers_are_refused(normalize: nn.Module) -> None:
    with pytest.raises(UserError, match=r"images of torch.uint8: expected floats in 0…1"):
        normalize(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
