"""Files that hold a network without this package's code: ONNX, torch.export's, TorchScript.

Every format shares one signature: ``write`` leaves a file that takes images of any number, height
and width, with `facts` in its metadata; ``read`` gives the file back as a function on images. Sizes
stay free because no network of the lab counts its pixels: paddings, crops and cells are reckoned
from the shape inside the graph.

Legend: N batch, K classes, H W image size.
"""

import importlib.util
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as symbolic

from fcn_lab.errors import UserError
from fcn_lab.geometry.sizes import count_channels

if TYPE_CHECKING:
    import onnx_ir

Scores = Callable[[Tensor], Tensor]
INPUT, OUTPUT = "image", "scores"
# larger networks would keep their weights in a second file
LARGEST_ONNX_BYTES = int(1.75 * 2**30)
# the name of the extra file in torch's two formats
METADATA = "fcn_lab.json"
# the size of the traced picture: no side is 1 or a multiple of a stride, which the exporter would
# take for a rule
EXAMPLE_SIZE = (65, 97)
TRIAL_SIZE = (360, 480)


class Format(ABC):
    """Base of the file formats that hold a network without this package's code."""

    suffix: ClassVar[str]

    @abstractmethod
    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """Writes a network in eval mode, (N,C,H,W) → (N,K,H,W), to a file in memory.

        Torch's native code aborts the process where it meets a full disk itself.
        """

    @abstractmethod
    def read(self, path: Path) -> Scores:
        """Returns the file as a function, (N,C,H,W) → (N,K,H,W)."""

    @abstractmethod
    def write_trial(self, file: str, channels: int) -> str:
        """Returns a line of Python that scores one picture.

        Args:
            file: the path as the line spells it.
            channels: the picture's channels.
        """


class TorchExport(Format):
    """Uses ``torch.export.save``, a graph of aten operators; reading it needs torch alone.

    torch refuses maps of one row or column for some operators that do compute them;
    ``.module(check_guards=False)`` therefore also takes images of 32 pixels and less.
    """

    suffix = ".pt2"

    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """Writes the graph, with the facts in the extra file fcn_lab.json."""
        extra = {METADATA: json.dumps(facts, indent=2)}
        torch.export.save(export_graph(net), file, extra_files=extra)

    def read(self, path: Path) -> Scores:
        """Returns the graph, run by torch."""
        # of a path torch warns unless it ends as its own files do, and a draft does not
        with path.open("rb") as file:
            graph: Scores = torch.export.load(file).module(check_guards=False)
        return graph

    def write_trial(self, file: str, channels: int) -> str:
        """Returns a line that needs torch alone."""
        return (
            f"import torch; net = torch.export.load({file}).module(check_guards=False); "
            f"print(net(torch.rand{(1, channels, *TRIAL_SIZE)}).shape)"
        )


class TorchScript(Format):
    """Uses ``torch.jit.trace``, for C++ and older deployments; torch recommends torch.export."""

    suffix = ".pt"

    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """Writes the script, with the facts in the extra file fcn_lab.json."""
        with silence_export_warnings(), torch.no_grad():
            script = torch.jit.trace(  # type: ignore[no-untyped-call]
                net, draw_example(net), check_trace=False
            )
            extra = {METADATA: json.dumps(facts, indent=2)}
            torch.jit.save(script, file, _extra_files=extra)

    def read(self, path: Path) -> Scores:
        """Returns the script, run by torch."""
        with silence_export_warnings():
            script: Scores = torch.jit.load(path)  # type: ignore[no-untyped-call]
        return script

    def write_trial(self, file: str, channels: int) -> str:
        """Returns a line that needs torch alone."""
        image = f"torch.rand{(1, channels, *TRIAL_SIZE)}"
        return f"import torch; print(torch.jit.load({file})({image}).shape)"


class Onnx(Format):
    """Uses torch's ONNX exporter over torch.export; onnxruntime reads the file on the CPU.

    Raises:
        UserError: the packages are not installed.
    """

    suffix = ".onnx"

    def __init__(self) -> None:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise UserError(
                    f"format=onnx needs the package {package}: pip install 'fcn-lab[export]'"
                )

    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """Writes the model, with the facts in metadata_props; lists and mappings become JSON.

        Raises:
            UserError: the network is larger than a file of this format may be.
        """
        if sum(tensor.nbytes for tensor in net.state_dict().values()) > LARGEST_ONNX_BYTES:
            raise UserError(
                "format=onnx holds networks of 1.75 GB and less; format=torch_export holds all"
            )
        with silence_export_warnings():
            program = torch.onnx.export(
                export_graph(net), (), input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
        assert program is not None
        for key, value in facts.items():
            text = value if isinstance(value, str) else json.dumps(value)
            program.model.metadata_props[key] = text
        name_sides(program.model.graph)
        file.write(program.model_proto.SerializeToString())

    def read(self, path: Path) -> Scores:
        """Returns a function that runs the model in onnxruntime."""
        import onnxruntime  # type: ignore[import-untyped]

        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), providers=providers)
        return lambda image: torch.from_numpy(session.run(None, {INPUT: image.numpy()})[0])

    def write_trial(self, file: str, channels: int) -> str:
        """Returns a line that needs onnxruntime and numpy."""
        shape = (1, channels, *TRIAL_SIZE)
        image = f'{{"{INPUT}": np.random.rand{shape}.astype("float32")}}'
        return (
            "import numpy as np, onnxruntime; "
            f"print(onnxruntime.InferenceSession({file}).run(None, {image})[0].shape)"
        )


FORMATS: Mapping[str, type[Format]] = {
    "onnx": Onnx,
    "torch_export": TorchExport,
    "torchscript": TorchScript,
}


def export_graph(net: nn.Module) -> torch.export.ExportedProgram:
    """Returns the graph of a network with free N, H and W, each from 1 up."""
    size = torch.export.Dim.DYNAMIC(min=1)
    # else pictures of 32 pixels would be a separate case at stride 32, whose coarsest map is 1×1
    with silence_export_warnings(), symbolic.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        return torch.export.export(
            net, (draw_example(net),), dynamic_shapes=({0: size, 2: size, 3: size},)
        )


def draw_example(net: nn.Module) -> Tensor:
    """Returns noise that a network takes, (2,C,H,W)."""
    return torch.rand(2, count_channels(net), *EXAMPLE_SIZE)


def name_sides(graph: "onnx_ir.Graph") -> None:
    """Names the free dimensions of a graph's input and output, which the exporter only numbers."""
    import onnx_ir

    for end in (graph.inputs[0], graph.outputs[0]):
        assert end.shape is not None
        end.shape = onnx_ir.Shape(["batch", end.shape[1], "height", "width"])


@contextmanager
def silence_export_warnings() -> Iterator[None]:
    """Hides the warnings that give no information about an export."""
    with warnings.catch_warnings():
        # the user has asked for TorchScript by name
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        # the trace fixes the results of checks on shapes; other sizes are tried on the file
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
