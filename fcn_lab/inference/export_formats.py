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

if TYPE_CHECKING:
    import onnx_ir

Scores = Callable[[Tensor], Tensor]
INPUT, OUTPUT = "image", "scores"
LARGEST_ONNX = int(1.75 * 2**30)  # bytes; above it the weights would lie in a second file
METADATA = "fcn_lab.json"  # the extra file of torch's two formats
EXAMPLE = (2, 3, 65, 97)  # neither 1 nor a multiple of any stride, which would look like a rule


class Format(ABC):
    """One kind of file."""

    suffix: ClassVar[str]

    @abstractmethod
    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """Writes a network in eval mode, (N,3,H,W) → (N,K,H,W), to a file in memory.

        Torch's native code aborts the process where it meets a full disk itself.
        """

    @abstractmethod
    def read(self, path: Path) -> Scores:
        """The file as a function, (N,3,H,W) → (N,K,H,W)."""


class TorchExport(Format):
    """``torch.export.save``: a graph of aten operators; ``torch.export.load`` needs torch alone.

    torch guards some operators against maps of one row or column, which they compute as well:
    ``.module(check_guards=False)`` takes images of 32 pixels and less, too.
    """

    suffix = ".pt2"

    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """The facts lie in the extra file fcn_lab.json."""
        extra = {METADATA: json.dumps(facts, indent=2)}
        torch.export.save(exported(net), file, extra_files=extra)

    def read(self, path: Path) -> Scores:
        """The graph, run by torch."""
        found: Scores = torch.export.load(path).module(check_guards=False)
        return found


class TorchScript(Format):
    """``torch.jit.trace``: for C++ and older deployments; torch itself points to torch.export."""

    suffix = ".pt"

    def write(self, net: nn.Module, file: IO[bytes], facts: Mapping[str, object]) -> None:
        """The facts lie in the extra file fcn_lab.json."""
        with quiet(), torch.no_grad():
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                net, torch.rand(EXAMPLE), check_trace=False
            )
            extra = {METADATA: json.dumps(facts, indent=2)}
            torch.jit.save(traced, file, _extra_files=extra)

    def read(self, path: Path) -> Scores:
        """The script, run by torch."""
        with quiet():
            found: Scores = torch.jit.load(path)  # type: ignore[no-untyped-call]
        return found


class Onnx(Format):
    """ONNX by torch's exporter over torch.export; read by onnxruntime on the CPU.

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
        """The facts are metadata_props; lists and mappings among them are JSON.

        Raises:
            UserError: the network is larger than a file of this format may be.
        """
        if sum(tensor.nbytes for tensor in net.state_dict().values()) > LARGEST_ONNX:
            raise UserError(
                "format=onnx holds networks of 1.75 GB and less; format=torch_export holds all"
            )
        with quiet():
            program = torch.onnx.export(
                exported(net), (), input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
        assert program is not None
        for key, value in facts.items():
            text = value if isinstance(value, str) else json.dumps(value)
            program.model.metadata_props[key] = text
        name_sides(program.model.graph)
        file.write(program.model_proto.SerializeToString())

    def read(self, path: Path) -> Scores:
        """A session of onnxruntime."""
        import onnxruntime  # type: ignore[import-untyped]

        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), providers=providers)
        return lambda image: torch.from_numpy(session.run(None, {INPUT: image.numpy()})[0])


FORMATS: Mapping[str, type[Format]] = {
    "onnx": Onnx,
    "torch_export": TorchExport,
    "torchscript": TorchScript,
}


def exported(net: nn.Module) -> torch.export.ExportedProgram:
    """The graph of a network whose N, H and W are free, from 1 up."""
    free = torch.export.Dim.DYNAMIC(min=1)
    # else a network of stride 32 would be told apart at 32 pixels, where its coarsest map is 1×1
    with quiet(), symbolic.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        return torch.export.export(
            net, (torch.rand(EXAMPLE),), dynamic_shapes=({0: free, 2: free, 3: free},)
        )


def name_sides(graph: "onnx_ir.Graph") -> None:
    """Calls the free sides of a graph's ends by their names; the exporter numbers them."""
    import onnx_ir

    for end in (graph.inputs[0], graph.outputs[0]):
        assert end.shape is not None
        end.shape = onnx_ir.Shape(["batch", end.shape[1], "height", "width"])


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that an export has nothing to learn from."""
    with warnings.catch_warnings():
        # TorchScript was asked for by name
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        # the checks of shapes stay behind as they fell out; other sizes are tried on the file
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
