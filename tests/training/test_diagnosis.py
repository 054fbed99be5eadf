"""A cause of death that is planted is named; a healthy run hears nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.data.frames import Frames
from fcn_lab.encoders import Normalize, VGG16Encoder
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN
from fcn_lab.pixels import VOID
from fcn_lab.training.callbacks.diagnosis import VitalSigns
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.diagnosis import TrainingDiagnosis, kurtosis
from fcn_lab.training.losses import CrossEntropy
from fcn_lab.upsampling import Bilinear
from support.places import CONF
from support.thin import thin_out
from support.tiny import Squares, make_train

CLASSES, STEPS = 4, 2
Optimizer = Callable[..., torch.optim.Optimizer]


def words(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def train(
    net: nn.Module,
    lr: float = 1e-3,
    reduction: str = "mean",
    label: Tensor | None = None,
    optimizer: Optimizer = torch.optim.Adam,
    size: int = 48,
) -> list[str]:
    """What is heard over a few steps."""
    image = torch.rand(2, 3, size, size)
    if label is None:
        label = (image.mean(1) * CLASSES).long().clamp(max=CLASSES - 1)
    vitals = TrainingDiagnosis(net, CLASSES, lr, STEPS)
    loss_of = CrossEntropy(reduction)
    steps = optimizer([p for p in net.parameters() if p.requires_grad], lr=lr)
    for _ in range(STEPS):
        vitals.check_labels(label)
        with vitals.watch_step():
            steps.zero_grad()
            loss = loss_of(net(image), label)
            loss.backward()
            steps.step()
        vitals.find_signs(float(loss.detach()))
    return vitals.signs


def network(**overrides: object) -> nn.Module:
    return create_model("fcn8s", "bilinear", "tiny", CLASSES, **overrides)


def vgg(normalised: bool) -> nn.Module:
    import torchvision

    builder = torchvision.models.vgg16_bn if normalised else torchvision.models.vgg16
    return FCN(VGG16Encoder(builder, head_width=64), Bilinear, CLASSES, 32)


def trained(net: nn.Module) -> nn.Module:
    """Kernels with the heavy tails that training gives them."""
    for kernel in (p for p in net.parameters() if p.ndim > 1 and p.any()):
        heavy = torch.randn_like(kernel) ** 3
        kernel.data.copy_(heavy / heavy.std() * kernel.std())
    return net


MODELS = [word for word in words("model") if word != "smp" and not word.endswith("_caffe")]


# with every operator, or with one that learns and one that takes the encoder's switches
HEALTHY = [
    *thin_out(((model, ["transposed", "max_unpool"]) for model in MODELS), every=4),
    *thin_out((model, words("upsample")) for model in MODELS),
]


@pytest.mark.parametrize(("model", "operators"), HEALTHY)
def test_a_healthy_run_hears_nothing(model: str, operators: list[str]) -> None:
    forms = [(word, {}) for word in operators]
    forms += [(word, {"upsample.refine": "none"}) for word in ("bed_of_nails", "max_unpool")]
    narrow = {"model.width": 8} if model == "unet_valid" else {}
    for upsample, form in forms:
        net = create_model(model, upsample, "tiny", CLASSES, **form, **narrow)
        assert train(net, size=32) == [], (upsample, form)


def test_weights_that_are_no_numbers_are_told_of_though_the_loss_is_one() -> None:
    net = network()
    diagnosis = TrainingDiagnosis(net, CLASSES, 1e-3, STEPS)
    with diagnosis.watch_step(), torch.no_grad():
        net(torch.rand(2, 3, 32, 32))
        for parameter in net.parameters():
            parameter.fill_(torch.nan)
    assert diagnosis.find_signs(1.0)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_rates_that_fit_the_loss_hear_nothing(optimizer: Optimizer) -> None:
    assert train(network(), 1e-2, optimizer=optimizer) == []
    assert train(network(), 1e-7, "sum", optimizer=torch.optim.SGD) == []


@pytest.mark.slow
def test_an_encoder_with_batch_norm_may_start_at_random() -> None:
    assert train(vgg(normalised=True), size=32) == []


def test_a_deep_encoder_at_random_without_normalisation_is_named() -> None:
    (sign,) = train(vgg(normalised=False), size=32)
    assert "starts at random" in sign
    assert "encoder=vgg16_bn" in sign


@pytest.mark.slow
def test_trained_weights_without_normalisation_layers_hear_nothing() -> None:
    assert not any("random" in sign for sign in train(trained(vgg(normalised=False)), size=32))


def test_constant_scores_are_named() -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network()
            self.bias = nn.Parameter(torch.zeros(1, CLASSES, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) * 0 + self.bias

    signs = train(Blind())
    assert any("scores are the same at every pixel" in sign for sign in signs)


def test_a_zeroed_layer_is_named() -> None:
    net = network()
    stem = net.get_submodule("encoder.stem.0")
    assert isinstance(stem, nn.Conv2d)
    nn.init.zeros_(stem.weight)
    (first, *_) = train(net)
    assert "layer encoder.stem.0 gives zero everywhere" in first


@pytest.mark.parametrize("scale", [1, 255])
def test_pictures_that_are_not_normalised_for_the_weights_are_named(scale: int) -> None:
    net = trained(network())
    assert train(net) == []
    net.encoder.normalize = Normalize((0, 0, 0), (1 / scale,) * 3)  # type: ignore[union-attr]
    assert any("not normalised as its weights" in sign for sign in train(net))


def test_a_rate_for_a_mean_with_a_sum_is_named() -> None:
    (sign,) = train(network(), 1e-1, "sum", optimizer=torch.optim.SGD)
    assert "optim.lr=0.1 is too high" in sign
    assert "summed over the pixels" in sign
    assert "loss=ce" in sign


def test_a_rate_for_a_sum_with_a_mean_is_named() -> None:
    (sign,) = train(network(), 1e-10, optimizer=torch.optim.SGD)
    assert "optim.lr=1e-10 is too low" in sign
    assert "averaged" in sign


def test_labels_out_of_range_are_named_before_the_loss_meets_them() -> None:
    label = torch.zeros(2, 48, 48, dtype=torch.int64)
    label[0, 0, :3] = torch.tensor([CLASSES, 17, VOID])
    with pytest.raises(UserError, match=r"labels hold 4, 17; expected 0\.\.3, or 255"):
        train(network(), label=label)


def test_crops_of_void_alone_are_named() -> None:
    label = torch.full((2, 48, 48), VOID)
    label[0, 0, 0] = 0
    assert any("of the label pixels are void" in sign for sign in train(network(), label=label))
    label[0] = 0
    assert not any("void" in sign for sign in train(network(), label=label))


def test_kurtosis_is_that_of_the_distribution() -> None:
    many = torch.linspace(-1, 1, 100_001)
    assert float(kurtosis(many)) == pytest.approx(9 / 5, rel=1e-3)
    two = torch.tensor([-1.0, 1.0])
    assert float(kurtosis(two)) == pytest.approx(1)


def test_watching_changes_no_weight() -> None:
    def weights(watched: bool) -> dict[str, Tensor]:
        torch.manual_seed(1)
        net, image = network(), torch.rand(2, 3, 32, 32)
        vitals = TrainingDiagnosis(net, CLASSES, steps=1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        if watched:
            vitals.check_labels(torch.zeros(2, 32, 32))
            with vitals.watch_step():
                F.cross_entropy(net(image), torch.zeros(2, 32, 32).long()).backward()
                optimizer.step()
        else:
            F.cross_entropy(net(image), torch.zeros(2, 32, 32).long()).backward()
            optimizer.step()
        return net.state_dict()

    torch.testing.assert_close(weights(True), weights(False), rtol=0, atol=0)


def test_a_training_run_is_watched_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Voids(Squares):
        def frames(self, split: str) -> Frames:
            found = super().frames(split)
            found.labels[:] = VOID
            found.labels[:, :1, :1] = 0
            return found

    data = FrameDataModule(Voids(), batch_size=3, seed=1)
    make_train({"max_epochs": 1}, data=data).run(tmp_path)
    assert "vital signs: " in capsys.readouterr().out
    make_train({"max_epochs": 1}).run(tmp_path / "healthy")
    assert "vital signs" not in capsys.readouterr().out


def test_nothing_is_left_behind_in_the_network(tmp_path: Path) -> None:
    task = make_train({"max_epochs": 3})
    task.run(tmp_path)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in task.net.modules())


def test_an_error_within_a_step_leaves_no_hook_on_the_network() -> None:
    net, signs = create_model(num_classes=CLASSES), VitalSigns()
    signs.vitals = TrainingDiagnosis(net, CLASSES, 0.1, STEPS)
    watched: Any = (signs, None)
    signs.on_train_batch_start(*watched, {"label": torch.zeros(1, 32, 32, dtype=torch.uint8)}, 0)
    hooks = lambda: any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())  # noqa: E731
    assert hooks()
    signs.on_exception(*watched, RuntimeError("out of memory"))
    assert not hooks()
