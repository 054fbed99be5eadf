"""The settings of a training that `trainer=` words choose, checked before anything is built."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import lightning as L
import torch
from annotated_types import Ge, Gt, Le, Lt
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar, WeightAveraging
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.precision.amp import MixedPrecision
from lightning.pytorch.plugins.precision.precision import Precision
from torch import nn

from fcn_lab.errors import UserError
from fcn_lab.runs.run import RunFolder
from fcn_lab.training.callbacks.averaging import create_warm_average
from fcn_lab.training.callbacks.checkpoints import AtomicCheckpointIO
from fcn_lab.training.callbacks.world_size import WorldSize
from fcn_lab.training.devices import check_compiler, check_device_count, find_device
from fcn_lab.training.precision import (
    FLOAT32,
    HALF_DTYPES,
    PRECISIONS,
    PrecisionChoice,
    rounds_to_tf32,
    settle_precision,
)
from fcn_lab.training.ranks import count_processes, is_started_by_torchrun
from fcn_lab.upsampling import Upsampling
from fcn_lab.values import Count, Positive, check_arguments

ProcessCount = Annotated[int, Ge(1), Le(1024)]
ACCELERATORS = ("auto", "cpu", "gpu", "mps")
# the strategies that start each rank as a process of its own
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")


@check_arguments
@dataclass(frozen=True)
class TrainerSettings:
    """The length of a training, its devices and its arithmetic.

    Args:
        max_epochs: passes over the training set.
        accelerator: "auto" takes an NVIDIA or AMD GPU where there is one.
        devices: processes on a CPU, GPUs elsewhere.
        strategy: "auto" is one process for one device and "ddp" for several.
        num_nodes: machines.
        precision: the arithmetic; "auto" is bf16-mixed where the device computes it natively.
        gradient_clip_val: largest norm of the gradient; longer ones are scaled down to it.
        channels_last: memory format of weights and images; None is true in bf16 and float16, whose
            kernels want it, and false in float32, in which VGG's are faster without on a CPU; there
            it leaves refinements, which have few channels, last.
        compile: whether to compile the network by torch.compile.
        ema_decay: decay of an average of the weights, which is then what is scored and saved.
        patience: stop after so many validations without a better mean IoU.
        val_every: epochs from validation to validation.
        log_every_n_steps: steps from one record of loss, rate and speed in the loggers to the next.
        gradients_every: steps from one record of the gradient's norms to the next; None for none.
        deterministic: take torch's deterministic kernels on a GPU where there are any, and print a
            line about operators that have none; a CPU repeats itself anyway.

    Raises:
        UserError: a value is outside its range.
    """

    max_epochs: Count = 60
    accelerator: str = "auto"
    devices: ProcessCount = 1
    strategy: str = "auto"
    num_nodes: ProcessCount = 1
    precision: str = "32-true"
    gradient_clip_val: Positive | None = None
    channels_last: bool | None = None
    compile: bool = False
    ema_decay: Annotated[float, Gt(0), Lt(1)] | None = None
    patience: Count | None = None
    val_every: Count = 1
    log_every_n_steps: Count = 10
    gradients_every: Count | None = None
    deterministic: bool = True

    def __post_init__(self) -> None:
        require_option("accelerator", self.accelerator, ACCELERATORS)
        require_option("strategy", self.strategy, STRATEGIES)
        require_option("precision", self.precision, PRECISIONS)
        if self.val_every > self.max_epochs:
            raise UserError(
                f"trainer.val_every={self.val_every}: expected at most "
                f"trainer.max_epochs={self.max_epochs}, "
                "else no epoch is ever scored"
            )

    @property
    def processes(self) -> int:
        """Returns the processes of all machines together."""
        return self.devices * self.num_nodes

    def check_devices(self) -> None:
        """Compares the requested devices and processes with this machine and the launcher.

        Raises:
            UserError: a device, or a compiler for it, is missing; torchrun or srun
                started another number of processes.
        """
        if (processes := count_processes()) not in (1, self.processes):
            raise UserError(
                f"{processes} processes were started, but trainer.devices={self.devices} x "
                f"trainer.num_nodes={self.num_nodes}.\n"
                "Start as many as these say, with trainer.strategy=ddp"
            )
        check_device_count(self.device, self.devices)
        if self.device == "mps" and self.strategy != "auto":
            raise UserError(
                f"trainer.strategy={self.strategy}: expected auto, since there is one Apple GPU"
            )
        if self.compile:
            check_compiler(self.device)

    @property
    def device(self) -> str:
        """Returns the device that computes: "cuda", "mps" or "cpu"."""
        return find_device(self.accelerator)

    def describe_device(self) -> dict[str, object]:
        """Returns what env.json says about the devices and their arithmetic."""
        name = torch.cuda.get_device_name() if self.device == "cuda" else self.device
        tf32 = self.precision == FLOAT32 and rounds_to_tf32(self.device)
        return {"device": f"{self.processes} x {name}", "precision": self.precision, "tf32": tf32}

    def settle_precision(
        self, first_precision: str | None = None, keeps_first: bool = False
    ) -> "tuple[TrainerSettings, PrecisionChoice]":
        """Returns these settings with "auto" resolved, and the choice that was made."""
        choice = settle_precision(self.precision, self.device, first_precision, keeps_first)
        return replace(self, precision=choice.precision), choice

    @property
    def used_precision(self) -> str:
        """Returns the precision of the arithmetic, never "auto"."""
        return settle_precision(self.precision, self.device).precision

    @property
    def memory_format(self) -> torch.memory_format:
        """Returns the memory format of weights and images."""
        last = (
            self.used_precision in HALF_DTYPES if self.channels_last is None else self.channels_last
        )
        return torch.channels_last if last else torch.contiguous_format

    def prepare(self, net: nn.Module) -> nn.Module:
        """Sets the memory format and compiles if asked; the names in the state dict stay."""
        is_chosen = self.device != "cpu" or self.channels_last is not None
        if is_chosen or self.memory_format == torch.channels_last:
            net = net.to(memory_format=self.memory_format)
        if self.compile:
            net.compile()
        return net

    def describe_nondeterminism(self, net: nn.Module) -> list[str]:
        """Returns a line for each kind of operator that is not deterministic on this device."""
        if not self.deterministic or self.device == "cpu":
            return []
        kinds = {type(m) for m in net.modules() if isinstance(m, Upsampling)}
        return [
            f"trainer.deterministic=true: the backward of {kind.__name__} adds in no fixed order "
            f"on a GPU; upsample={kind.deterministic_word} repeats itself"
            for kind in sorted(kinds, key=lambda kind: kind.__name__)
            if not kind.deterministic
        ]

    def create_averaging(self) -> list[Callback]:
        """Returns the callback that averages weights and batch statistics, or an empty list."""
        if self.ema_decay is None:
            return []
        average = create_warm_average(self.ema_decay)
        # the averages are made before Lightning moves the network, which would leave them behind
        return [WeightAveraging(self.device, use_buffers=True, multi_avg_fn=average)]

    def _create_precision_plugin(self) -> Precision:
        """Returns a plugin, because Lightning itself takes bf16-mixed for 16-mixed on a CPU."""
        precision = self.used_precision
        if precision not in HALF_DTYPES:
            return Precision()
        return MixedPrecision(precision, self.device)  # type: ignore[arg-type]

    def create_trainer(
        self, folder: RunFolder, loggers: Sequence[Logger] = (), callbacks: Sequence[Callback] = ()
    ) -> L.Trainer:
        """Returns a Lightning trainer that writes no files; the callbacks do."""
        # Lightning expects the place in the epoch in the loader's state; the data module keeps it
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        # every rank computes the scores from the gathered matrices
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        # torch would fill every new tensor first: hundreds of kernels a step, which nothing reads
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        return L.Trainer(
            max_epochs=self.max_epochs,
            accelerator=self.device,
            devices=self.devices,
            strategy=self.strategy,
            num_nodes=self.num_nodes,
            gradient_clip_val=self.gradient_clip_val,
            check_val_every_n_epoch=self.val_every,
            deterministic="warn" if self.deterministic and self.device == "cuda" else False,
            default_root_dir=folder.path,
            logger=list(loggers) or False,
            callbacks=[WorldSize(self.processes), *callbacks],
            plugins=[
                AtomicCheckpointIO(),
                self._create_precision_plugin(),
                create_cluster_environment(),
            ],
            num_sanity_val_steps=0,
            # Lightning itself records nothing of steps; `StepLog` does
            log_every_n_steps=1,
            # the data module's own samplers neither pad nor repeat
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
            enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        )


def require_option(name: str, value: str, options: Sequence[str]) -> None:
    """Refuses a value that is not an option.

    Raises:
        UserError: it is none; the message lists the options.
    """
    if value not in options:
        raise UserError(f"trainer.{name}={value}: expected one of {', '.join(options)}")


def create_cluster_environment() -> ClusterEnvironment:
    """Returns Lightning's environment of torchrun, of srun, or its own.

    Without it Lightning would expect as many processes as a Slurm allocation has tasks.
    """
    if is_started_by_torchrun():
        return TorchElasticEnvironment()
    return SLURMEnvironment() if count_processes() > 1 else LightningEnvironment()
