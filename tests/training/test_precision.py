"""The precision: chosen for the device, recorded, kept by a resume, and paid for with open eyes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fcn_lab.config.frozen import find_conf_folder
from fcn_lab.config.words import compose
from fcn_lab.encoders.full_precision import build_score
from fcn_lab.runs.run import RunFolder
from fcn_lab.signals import StoppedBySignal
from fcn_lab.tasks.evaluate import Evaluate
from fcn_lab.tasks.train import Train
from fcn_lab.training import precision
from fcn_lab.training.precision import (
    BF16,
    FLOAT32,
    HALF_DTYPES,
    PRECISIONS,
    choose_precision,
    is_native,
    measure_slowdown,
)
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.upsampling import Bilinear
from support.ends import end_of, same
from support.stopping import STEPS, SignalAt
from support.thin import thin_out
from support.tiny import Net, make_train

RECIPES = sorted(
    file.stem
    for file in (find_conf_folder() / "experiment").glob("*.yaml")
    if file.stem not in ("tune",)  # its sweeper is composed with the whole command line only
)
Machine = Callable[[bool], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """`machine(True)` stands for a CPU with bf16 of its own, `machine(False)` for one without."""
    monkeypatch.setattr(precision, "time_step", seconds_of_a_network)

    def pretend(has_bf16: bool) -> None:
        monkeypatch.setattr(precision, "cpu_has_bf16", lambda: has_bf16)

    measure_slowdown.cache_clear()
    yield pretend
    measure_slowdown.cache_clear()


def seconds_of_a_network(net: nn.Module, image: torch.Tensor) -> float:
    """Of a machine that takes 37 times as long for what is not float32."""
    return 1.0 if net(image).dtype == torch.float32 else 37.0


def env(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "env.json").read_text())
    return content


def stopped(task: Train, folder: Path) -> None:
    """Begins the run and ends it inside its second epoch."""
    task.loss = SignalAt(STEPS + 7)
    with pytest.raises(StoppedBySignal):
        task.run(folder)


@pytest.mark.parametrize(("capability", "expected"), [(7, FLOAT32), (8, BF16), (9, BF16)])
def test_a_gpu_takes_bf16_from_ampere_on(
    capability: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=capability)
    )
    assert choose_precision("cuda") == expected
    assert TrainerSettings(precision="auto").used_precision == expected
    assert is_native("16-mixed", "cuda")


@pytest.mark.parametrize(
    ("capability", "allowed", "used", "expected"),
    [
        ((8, 0), True, FLOAT32, True),
        # not Turing, whose matrix units have no TF32
        ((7, 5), True, FLOAT32, False),
        ((9, 0), False, FLOAT32, False),
        ((9, 0), True, BF16, False),
    ],
)
def test_a_run_on_a_gpu_records_whether_it_rounds_to_tf32(
    capability: tuple[int, int],
    allowed: bool,
    used: str,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not TrainerSettings(accelerator="cpu", precision=used).describe_device()["tf32"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "made")
    assert TrainerSettings(precision=used).describe_device() == {
        **{"device": "1 x made", "precision": used, "tf32": expected}
    }


@pytest.mark.parametrize(
    ("onednn", "avx512", "avx512_bf16", "expected"),
    [
        (False, False, False, FLOAT32),  # AVX2 alone
        (True, True, True, BF16),
        (True, True, False, FLOAT32),  # oneDNN says yes and converts
        (True, False, False, BF16),  # no x86 at all
    ],
)
def test_a_cpu_takes_bf16_where_its_instructions_do(
    onednn: bool,
    avx512: bool,
    avx512_bf16: bool,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert choose_precision("cpu") == expected
    assert TrainerSettings(accelerator="cpu", precision="auto").used_precision == expected


def test_a_torch_without_onednn_and_an_apple_gpu_take_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert choose_precision("cpu") == choose_precision("mps") == FLOAT32


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_leaves_the_precision_to_the_machine(recipe: str) -> None:
    """But for the paper's own: in float32, since their rate of 1e-10 is for summed losses."""
    trainer = compose([f"experiment={recipe}"]).trainer
    expected = FLOAT32 if recipe.startswith("voc_") else "auto"
    assert trainer.precision == expected


@pytest.mark.parametrize("used", [name for name in PRECISIONS if name != "auto"])
def test_halves_lie_channels_last_unless_told_otherwise(used: str) -> None:
    plain = TrainerSettings(accelerator="cpu", precision=used)
    assert (plain.memory_format == torch.channels_last) == (used in HALF_DTYPES)
    for told in (True, False):
        training = TrainerSettings(accelerator="cpu", precision=used, channels_last=told)
        assert (training.memory_format == torch.channels_last) == told


@pytest.mark.parametrize(("device", "is_last"), [("cpu", True), ("cuda", False)])
def test_on_a_cpu_refinements_lie_channels_last_in_float32_too(
    device: str, is_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.training.settings.find_device", lambda _: device)
    net = nn.Sequential(nn.Conv2d(3, 11, 3), Bilinear(11, 2, refine="conv"))
    TrainerSettings(precision=FLOAT32).prepare(net)
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    lie_last = [layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in layers]
    assert lie_last == [False, is_last]
    TrainerSettings(precision=FLOAT32, channels_last=False).prepare(net)
    assert all(layer.weight.is_contiguous() for layer in layers)


@pytest.mark.parametrize("has_bf16", [True, False])
def test_auto_is_printed_and_recorded(
    has_bf16: bool, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(has_bf16)
    make_train({"precision": "auto", "max_epochs": 1}).run(tmp_path)
    expected = BF16 if has_bf16 else FLOAT32
    assert env(tmp_path)["precision"] == expected
    assert env(tmp_path)["tf32"] is False
    out = capsys.readouterr().out
    assert out.count(f"precision: {expected} (auto: ") == 1
    assert "times as long" not in out


class Typed(Net):
    """Notes the type that its first convolution computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[torch.dtype] = set()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if not image.is_meta:  # where its cost is counted
            self.found.add(self.body[0](image).dtype)
        return super().forward(image)


@pytest.mark.parametrize("used", [FLOAT32, *HALF_DTYPES])
def test_a_precision_computes_in_its_own_type(used: str, tmp_path: Path) -> None:
    net = Typed()
    make_train({"precision": used, "max_epochs": 1}, net=net).run(tmp_path)
    assert net.found == {HALF_DTYPES.get(used, torch.float32)}
    assert env(tmp_path)["precision"] == used


@pytest.mark.parametrize("typed", list(HALF_DTYPES))
def test_what_is_emulated_warns_once_with_the_measured_ratio(
    typed: str, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(False)
    make_train({"precision": typed, "max_epochs": 1}).run(tmp_path)
    out = capsys.readouterr().out
    assert out.count("37.0 times as long as in 32-true") == out.count("trainer.precision=auto") == 1
    assert f"trainer.precision={typed} is emulated on this cpu" in out


def test_what_is_native_does_not_warn(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(True)
    make_train({"precision": BF16, "max_epochs": 1}).run(tmp_path)
    out = capsys.readouterr().out
    assert f"precision: {BF16}\n" in out
    assert "times as long" not in out


def test_the_ratio_is_that_of_the_fastest_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    measure_slowdown.cache_clear()
    ends = iter([0, 4, 4, 6, 6, 9, 9, 19, 19, 27, 27, 39])  # steps of 4, 2, 3, then of 10, 8, 12
    monkeypatch.setattr(precision, "synchronized_time", lambda given: float(next(ends)))
    state = torch.get_rng_state()
    assert measure_slowdown(BF16, "cpu", torch.channels_last) == 4
    assert torch.equal(state, torch.get_rng_state())
    measure_slowdown.cache_clear()


@pytest.mark.parametrize("began_with_bf16", thin_out([True, False], every=2))
def test_a_resume_keeps_what_the_run_began_with_and_says_where_the_machine_differs(
    began_with_bf16: bool, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used, other = (BF16, FLOAT32) if began_with_bf16 else (FLOAT32, BF16)
    make_train({"precision": used}).run(tmp_path / "unstopped")
    machine(began_with_bf16)
    stopped(make_train({"precision": "auto"}), tmp_path / "run")
    capsys.readouterr()
    machine(not began_with_bf16)
    make_train({"precision": "auto"}, resume=True).run(tmp_path / "run")
    out = capsys.readouterr().out
    assert f"precision: {used}, as the run began; by itself this cpu would take {other}\n" in out
    assert ("times as long" in out) == began_with_bf16
    assert same(end_of(tmp_path / "run"), end_of(tmp_path / "unstopped"))
    recorded = env(tmp_path / "run")
    assert recorded["precision"] == used
    assert [now["precision"] for now in recorded["resumed"]] == [used]  # type: ignore[attr-defined]


def test_a_run_that_never_began_leaves_no_precision(machine: Machine, tmp_path: Path) -> None:
    machine(True)
    task = make_train({"precision": "auto"}, loss=SignalAt(1))
    with pytest.raises(StoppedBySignal):
        task.run(tmp_path)
    assert env(tmp_path)["precision"] == BF16
    for kept in (tmp_path / "checkpoints").glob("*"):
        kept.unlink()
    machine(False)
    make_train({"precision": "auto", "max_epochs": 1}).run(tmp_path)
    assert env(tmp_path)["precision"] == FLOAT32
    assert "resumed" not in env(tmp_path)


def evaluated(run: Path, folder: Path, asked: str) -> dict[str, object]:
    """What the test split scores on this machine."""
    task = make_train({"precision": asked})
    folder.mkdir()
    Evaluate(run, task.net, task.data, task.training, task.words).run(folder)
    scores: dict[str, object] = RunFolder(folder).read_metrics()["test"]
    return scores


def test_an_evaluation_computes_as_the_run_did_where_that_is_native(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for used, has_bf16 in ((FLOAT32, True), (BF16, True), (BF16, False)):
        machine(True)
        run = tmp_path / f"{used} {has_bf16}"
        make_train({"precision": used, "max_epochs": 1}).run(run)
        machine(has_bf16)
        capsys.readouterr()
        scores = evaluated(run, tmp_path / f"again {run.name}", "auto")
        expected = used if has_bf16 else FLOAT32
        assert env(tmp_path / f"again {run.name}")["precision"] == expected
        out = capsys.readouterr().out
        assert "times as long" not in out
        if has_bf16:
            assert scores == RunFolder(run).read_metrics()["test"]
        else:
            assert f"precision: {FLOAT32}; the run began in {BF16}, which this cpu emulates" in out


@pytest.mark.parametrize(("channels", "stays"), [(2048, False), (2049, True)])
def test_scores_of_very_many_channels_stay_in_float32_under_a_cpus_bf16(
    channels: int, stays: bool
) -> None:
    """Their gradient in bf16 ends the process where a CPU has AMX."""
    score = build_score(channels, 11)
    x = torch.randn(1, channels, 2, 3).bfloat16()
    exact = score(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        output = score(x)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, exact.bfloat16()) == stays
    output.float().square().sum().backward()
    assert score.weight.grad is not None
