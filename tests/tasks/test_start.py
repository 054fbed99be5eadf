"""What a training starts from, and which parts stay: freeze=, init_from=, encoder.weights=FILE."""

from collections.abc import Callable
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from fcn_lab import create_model
from fcn_lab.encoders import TinyEncoder
from fcn_lab.encoders.vgg import VGG16Encoder
from fcn_lab.errors import UserError
from fcn_lab.networks.fcn import FCN
from fcn_lab.networks.smp import SmpModel
from fcn_lab.networks.weights.warm_start import transplant
from fcn_lab.tasks.train import Train
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.freeze import AllButScore, Encoder, Freeze, Norms, Nothing, describe_trained
from fcn_lab.training.opening import require_batch_statistics
from fcn_lab.upsampling import Nearest
from support.thin import thin_out
from support.tiny import Squares, make_train, weights

SMALL = {"widths": (4, 4, 6, 6, 8), "depths": (1, 1, 1, 1), "head_width": 8}
ONE_STEP = {"max_epochs": 1}
ENCODERS = {"dpt": "tu-vit_tiny_patch16_224"}  # it takes timm's vision transformers alone


def small(stride: int = 16, upsample: Callable[..., nn.Module] = Nearest) -> FCN:
    return FCN(TinyEncoder(**SMALL), upsample, 3, stride)  # type: ignore[arg-type]


def state(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of the small FCN-16s."""
    folder = tmp_path_factory.mktemp("run")
    train(small(), folder)
    return folder


def train(net: nn.Module, folder: Path, **fields: object) -> Train:
    task = make_train(ONE_STEP, net=net, **fields)
    task.run(folder)
    return task


def of_norms(name: str) -> bool:
    return any(part in name for part in (".1.", "norm2", "around.1"))


@pytest.mark.parametrize(
    ("freeze", "stays"),
    [
        (Nothing(), lambda name: False),
        (Encoder(), lambda name: name.startswith("encoder.")),
        (AllButScore(), lambda name: not name.startswith("score")),
    ],
)
def test_what_is_frozen_stays_bit_for_bit_statistics_included_and_all_else_moves(
    freeze: Freeze, stays: Callable[[str], bool], tmp_path: Path
) -> None:
    net = small()
    nn.init.ones_(net.encoder.head.context[0].bias)  # a closed ReLU would let nothing move there
    before = state(net)
    train(net, tmp_path, freeze=freeze)
    for name, tensor in weights(tmp_path / "checkpoints" / "last.ckpt").items():
        if name.startswith("net.") and (own := name.removeprefix("net.")) in before:
            still = torch.equal(tensor, before[own])
            constant = own.startswith("encoder.normalize")  # preprocessing is never trained
            assert still == (stays(own) or constant), own


def test_frozen_norms_keep_scales_and_statistics_while_their_convolutions_move(
    tmp_path: Path,
) -> None:
    net = small()
    layers = {n for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    before = state(net)
    train(net, tmp_path, freeze=Norms())
    after = {n: torch.equal(t, before[n]) for n, t in net.state_dict().items()}
    assert layers
    assert all(still for name, still in after.items() if name.rpartition(".")[0] in layers)
    assert not after["encoder.stem.0.weight"]
    assert not after["score_fr.weight"]


def test_the_account_adds_up_to_the_whole_network() -> None:
    net = small()
    AllButScore().apply(net)
    score = sum(p.numel() for n, p in net.named_parameters() if n.startswith("score"))
    encoder = sum(p.numel() for p in net.encoder.parameters())
    trained, frozen = describe_trained(net).split("; ")
    counts = [int(word.replace(",", "")) for word in trained.split() if word[0].isdigit()]
    assert trained.startswith("trained: score_fr")
    assert sum(int(str(c)) for c in counts) == score
    assert frozen == f"frozen: encoder {encoder:,}"


def test_parts_a_network_does_not_have_cannot_be_frozen() -> None:
    for freeze in (Encoder(), Norms(), AllButScore()):
        with pytest.raises(UserError, match="freeze="):
            freeze.apply(nn.Sequential(nn.Conv2d(3, 3, 1)))


def test_a_network_frozen_whole_is_refused() -> None:
    net = small().requires_grad_(False)
    with pytest.raises(UserError, match="frozen"):
        make_train().optim.parameter_groups(net)


def test_a_rate_for_a_part_that_is_not_there_names_those_that_are() -> None:
    optim = make_train().optim
    wrong = type(optim)(optim.optimizer, 0.1, optim.schedule, rates={"encodr": 0.1})
    with pytest.raises(UserError, match=r"optim\.rates\.encodr.*encoder, score_fr"):
        wrong.parameter_groups(small())


def test_a_run_goes_on_from_the_best_weights_of_another(run: Path, tmp_path: Path) -> None:
    net, best = small(), weights(run / "checkpoints" / "best.ckpt")
    task = make_train(ONE_STEP, net=net, init_from=run)
    task.preflight(on_other_machine=False)
    assert all(torch.equal(t, best[f"net.{name}"]) for name, t in net.state_dict().items())


def test_what_was_not_taken_over_is_told_by_name(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = small(stride=8)
    net.score_fr = nn.Conv2d(8, 3, 3, padding=1)
    train(net, tmp_path, init_from=run)
    told = " ".join(capsys.readouterr().out.split())
    assert f"starts from {run}" in told
    assert "new here: score_pool3.weight, score_pool3.bias" in told
    assert "score_fr.weight ([3, 8, 1, 1] there, [3, 8, 3, 3] here)" in told


def test_a_resume_does_not_start_over(run: Path, tmp_path: Path) -> None:
    train(small(), tmp_path, init_from=run)
    (tmp_path / "metrics.json").unlink()
    trained = weights(tmp_path / "checkpoints" / "last.ckpt")
    train(small(), tmp_path, init_from="gone", resume=True)
    after = weights(tmp_path / "checkpoints" / "last.ckpt")
    assert all(torch.equal(after[name], tensor) for name, tensor in trained.items())


def test_a_start_that_is_no_run_or_fits_nowhere_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"init_from=.*no checkpoints/best\.ckpt"):
        make_train(net=small(), init_from=tmp_path).preflight(on_other_machine=False)
    with pytest.raises(UserError, match="nothing of its network fits"):
        make_train(init_from=run).preflight(on_other_machine=False)


def test_a_transplant_between_equal_nets_is_the_whole_net_and_leaves_none() -> None:
    here, there = small(8), small(8)
    done = transplant(here, there.state_dict())
    assert done.copied_params == done.params == sum(p.numel() for p in here.parameters())
    assert [*done.new_names, *done.unfit_shapes, *done.unused_names] == []
    assert all(map(torch.equal, here.state_dict().values(), there.state_dict().values()))


def test_an_encoder_reads_its_weights_from_its_own_state_a_network_s_or_a_run_s(
    run: Path, tmp_path: Path
) -> None:
    whole = {k: v for k, v in weights(run / "checkpoints" / "best.ckpt").items() if "net." in k}
    own = {k.removeprefix("net.encoder."): v for k, v in whole.items() if "encoder." in k}
    torch.save({f"encoder.{name}": tensor for name, tensor in own.items()}, tmp_path / "net.pt")
    torch.save(own, tmp_path / "own.pt")
    for file in (run / "checkpoints" / "best.ckpt", tmp_path / "net.pt", tmp_path / "own.pt"):
        found = TinyEncoder(**SMALL, weights=str(file)).state_dict()  # type: ignore[arg-type]
        assert all(torch.equal(tensor, own[name]) for name, tensor in found.items())


@pytest.mark.slow
def test_vgg_reads_torchvisions_file(tmp_path: Path) -> None:
    source = VGG16Encoder(head_width=2)
    names = {
        f"features.{n.split('.', 2)[2]}": t
        for n, t in source.stages.state_dict(prefix="stages.").items()
    }
    torch.save({**names, "classifier.0.weight": torch.zeros(2)}, tmp_path / "vgg16.pth")
    told = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.1)}
    read = VGG16Encoder(weights=str(tmp_path / "vgg16.pth"), head_width=2, **told)  # type: ignore[arg-type]
    assert [b.flatten().tolist() for b in read.normalize.buffers()] == [
        pytest.approx(numbers) for numbers in told.values()
    ]
    for here, there in zip(read.stages.parameters(), source.stages.parameters(), strict=True):
        assert torch.equal(here, there)


def test_a_file_without_the_encoder_is_refused_by_name(run: Path) -> None:
    file = str(run / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match=r"of another shape: stem\.0\.weight"):
        TinyEncoder(weights=file, depths=(1, 1, 1, 1))
    with pytest.raises(UserError, match=r"missing: stages\.0\.1"):
        TinyEncoder(**{**SMALL, "depths": (2, 1, 1, 1)}, weights=file)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="expected one of none, imagenet or a file"):
        create_model(**{"encoder.weights": "imagenett"})
    with pytest.raises(UserError, match="there are none of encoder=tiny"):
        create_model(**{"encoder.weights": "imagenet"})


@pytest.mark.parametrize("arch", thin_out(sorted(smp.MODEL_ARCHITECTURES_MAPPING), every=2))
def test_a_batch_of_one_trains_or_is_refused_before_the_first_step(arch: str) -> None:
    torch.manual_seed(0)
    net = SmpModel(3, arch, ENCODERS.get(arch, "resnet18"))
    one = torch.rand(1, 3, 24, 32)
    data = FrameDataModule(Squares(), batch_size=1)
    modes = [layer.training for layer in net.modules()]
    try:
        net(one)
    except ValueError:  # torch's own, in the middle of a step
        with pytest.raises(
            UserError, match=r"data\.batch_size=1: for 24x32 pixels.*\n.*freeze=norm"
        ):
            require_batch_statistics(net, [], data)
    else:
        require_batch_statistics(net, [], data)
    assert [layer.training for layer in net.modules()] == modes
    require_batch_statistics(net, [], FrameDataModule(Squares(), batch_size=2))
    net(torch.cat([one, one]))
    still = Norms().apply(net)
    require_batch_statistics(net, still, data)
    for layer in still:
        layer.eval()
    net(one).sum().backward()
