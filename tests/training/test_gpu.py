"""Every branch of ours that asks for a GPU, taken on a stand-in for one.

What is sent to "cuda" stays in main memory and is computed by the processor, so that a run on the
stand-in must end in the numbers of a run on the CPU.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.accelerators.cuda import CUDAAccelerator
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fcn_lab.errors import UserError
from fcn_lab.inference.predictor import Predictor
from fcn_lab.training import devices
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.precision import BF16, FLOAT32, settle_precision
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.training.workers import settle_loader
from support.tiny import Net, Squares, make_train, speckle

CPU = torch.device("cpu")


def on_cpu(value: Any) -> Any:  # noqa: ANN401  (any argument of torch's)
    is_gpu = isinstance(value, torch.device | str) and str(value).startswith("cuda")
    return CPU if is_gpu else value


class MainMemory(TorchFunctionMode):
    """Sends what is meant for a GPU to main memory."""

    def __torch_function__(  # type: ignore[override]
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        if func is torch.device:  # the name of the place, where nothing is sent yet
            return func(*args, **(kwargs or {}))
        named = {key: on_cpu(value) for key, value in (kwargs or {}).items()}
        return func(*map(on_cpu, args), **named)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A GPU of Ampere's generation; its attributes may be changed, and say what was asked."""
    state = SimpleNamespace(major=8, count=1, pinned=0, compiled=0)

    def pin(tensor: Tensor, *given: object) -> Tensor:
        state.pinned += 1
        return tensor

    def compile_net(net: nn.Module) -> None:
        state.compiled += 1

    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: state.count,
        "current_device": lambda: 0,
        "get_device_name": lambda *given: "stand-in",
        "get_device_properties": lambda *given: SimpleNamespace(major=state.major),
        "get_device_capability": lambda *given: (state.major, 0),
        "set_device": lambda device: None,
        "synchronize": lambda *given: None,
        "empty_cache": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(CUDAAccelerator, "auto_device_count", staticmethod(lambda: state.count))
    monkeypatch.setattr(
        CUDAAccelerator, "parse_devices", staticmethod(lambda devices: list(range(devices)))
    )
    monkeypatch.setattr(CUDAAccelerator, "get_device_stats", lambda *given: {})
    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(nn.Module, "compile", compile_net)
    with MainMemory():
        yield state


def trained(folder: Path, **training: object) -> dict[str, Any]:
    # workers would hand their batches to a thread that only a real GPU can pin for
    data = FrameDataModule(Squares(), speckle, batch_size=3, num_workers=0, seed=1)
    make_train({"accelerator": "auto", "max_epochs": 1, **training}, data=data).run(folder)
    content: dict[str, Any] = json.loads((folder / "env.json").read_text())
    return content


@pytest.mark.parametrize(("major", "is_rounded"), [(7, False), (8, True)])
def test_float32_that_convolutions_round_is_told(
    major: int, is_rounded: bool, gpu: SimpleNamespace
) -> None:
    gpu.major = major
    choice = settle_precision(FLOAT32, "cuda")
    (line,) = choice.describe(torch.contiguous_format)
    assert ("TF32" in line) == is_rounded


@pytest.mark.parametrize(("major", "expected"), [(7, FLOAT32), (8, BF16), (9, BF16)])
def test_auto_follows_the_generation(
    major: int, expected: str, gpu: SimpleNamespace, tmp_path: Path
) -> None:
    gpu.major = major
    assert trained(tmp_path, precision="auto")["precision"] == expected
    training = TrainerSettings(precision="auto")
    assert (training.memory_format == torch.channels_last) == (expected == BF16)


@pytest.mark.parametrize("deterministic", [True, False])
def test_kernels_that_repeat_themselves_are_asked_for_on_a_gpu(
    deterministic: bool, gpu: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr(
        torch, "use_deterministic_algorithms", lambda *given, **named: asked.append((given, named))
    )
    trained(tmp_path, deterministic=deterministic)
    # hundreds of kernels a step, and none reads what they fill
    assert not torch.utils.deterministic.fill_uninitialized_memory
    assert asked
    for given, named in asked:
        assert given == (deterministic,)
        assert named.get("warn_only", False) == deterministic


def test_averaged_weights_lie_where_the_network_will(gpu: SimpleNamespace) -> None:
    """Lightning makes them before it moves the network, and would leave them in main memory."""
    for settings, place in (({}, "cuda"), ({"accelerator": "cpu"}, "cpu")):
        (averaging,) = TrainerSettings(ema_decay=0.9, **settings).create_averaging()
        assert averaging._device == torch.device(place)


def test_a_network_is_compiled_once_where_a_compiler_is(
    gpu: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(devices.Path, "is_file", lambda path: True)
    TrainerSettings(compile=True).check_devices()
    net = TrainerSettings(compile=True, channels_last=True).prepare(Net())
    assert gpu.compiled == 1
    assert net.body[0].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[union-attr, index]
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="the package triton"):
        TrainerSettings(compile=True).check_devices()


def test_more_gpus_than_there_are_are_refused_with_their_number(gpu: SimpleNamespace) -> None:
    TrainerSettings(devices=1).check_devices()
    with pytest.raises(UserError, match=r"there is 1 here, type trainer\.devices=1"):
        TrainerSettings(devices=2, strategy="ddp").check_devices()


@pytest.mark.parametrize("place", ["cuda", "cpu"])
def test_a_loader_follows_the_device_of_its_trainer(place: str) -> None:
    data = FrameDataModule(Squares(), batch_size=1)
    strategy = SimpleNamespace(root_device=torch.device(place))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=strategy, num_devices=1, global_rank=0, world_size=1
    )
    expected = settle_loader(None, on_gpu=place == "cuda")
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert loader.num_workers == expected["num_workers"]
        assert loader.pin_memory == (place == "cuda")


def test_a_predictor_takes_the_gpu_and_labels_as_on_the_cpu(gpu: SimpleNamespace) -> None:
    frames, net = Squares().frames("test"), Net()
    image = frames.images[0]
    palette = Squares().palette
    found = Predictor(net, Squares().classes, palette)
    assert found.device.type == "cuda"
    expected = Predictor(net, Squares().classes, palette, device="cpu")
    assert (found(image) == expected(image)).all()
