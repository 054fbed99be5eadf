"""Records how much of the gradient reaches each stage of the encoder."""

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim import Optimizer

from fcn_lab.errors import UserError
from fcn_lab.runs.run import RunFolder
from fcn_lab.runs.table import CsvFile
from fcn_lab.training.ranks import is_first_rank


class GradientNorms(Callback):
    """Records every n steps the Euclidean norm of the loss's gradient by each stage's parameters.

    ‖∂L/∂θ_s‖ = √Σ (∂L/∂θ)² over the parameters of stage s, before clipping, as gradients.csv and
    in the loggers. It shows whether skip connections give the gradient a shorter way back, as
    Drozdzal, Vorontsov, Chartrand, Kadoury, Pal say ("The Importance of Skip Connections in
    Biomedical Image Segmentation", 2016).

    Args:
        folder: the run's folder.
        net: has an ``encoder``; without one its own children are taken for stages.
        interval: n.
    """

    def __init__(self, folder: RunFolder, net: nn.Module, interval: int) -> None:
        self.stages, self.interval = require_stages(net), interval
        self.rows = CsvFile(folder.gradients, ["step", *self.stages])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if is_first_rank():
            self.rows.keep(lambda row: int(row["step"]) < trainer.global_step)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        step = trainer.global_step
        if step % self.interval or not is_first_rank():
            return
        values = torch.stack(
            [gradient_norm(parameters) for parameters in self.stages.values()]
        ).tolist()
        norms = dict(zip(self.stages, values, strict=True))
        self.rows.append({"step": step, **norms})
        for logger in trainer.loggers:
            logger.log_metrics({f"gradient/{stage}": n for stage, n in norms.items()}, step)


def require_stages(net: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Returns the trained parameters of a network's encoder by stage.

    Raises:
        UserError: no stage is trained, so there is no gradient to record.
    """
    stages = find_stages(getattr(net, "encoder", net))
    if not stages:
        raise UserError(
            "trainer.gradients_every: no stage of the encoder is trained, so that no gradient "
            "reaches one.\nType trainer.gradients_every=null, or freeze=none"
        )
    return stages


def find_stages(encoder: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Returns the trained parameters by stage, from the image on; lists and wrappers are opened."""
    stages: dict[str, list[nn.Parameter]] = {}
    for name, child in encoder.named_children():
        is_container = isinstance(child, nn.ModuleList) or name == "encoder"
        inner = child.named_children() if is_container else [("", child)]
        for part, module in inner:
            parameters = [p for p in module.parameters() if p.requires_grad]
            if parameters:
                stages[f"{name}.{part}" if part else name] = parameters
    return stages


def gradient_norm(parameters: list[nn.Parameter]) -> torch.Tensor:
    """Returns the Euclidean norm of all their gradients together."""
    grads = [p.grad for p in parameters if p.grad is not None]
    # of no tensors the norm would be on the CPU, wherever the network is
    return nn.utils.get_total_norm(grads) if grads else parameters[0].new_zeros(())
