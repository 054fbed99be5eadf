"""What to do with runs: the commands that a task ends with."""

from pathlib import Path

from fcn_lab.commands import format_command, format_operand, format_tool
from fcn_lab.runs.names import CONFUSIONS, PANELS


def list_run_steps(folder: Path) -> dict[str, str | Path]:
    """Returns where to look and what to type after a finished run."""
    steps: dict[str, str | Path] = {}
    if (folder / PANELS).is_dir():
        steps["Its pictures"] = folder / PANELS
    steps |= list_wandb_steps(folder / "wandb")
    if (events := folder / "tensorboard").is_dir():
        logdir = f"--logdir={events}"
        steps["Its curves on a page of TensorBoard's"] = format_tool("tensorboard", logdir)
    if (folder / CONFUSIONS).is_file():
        report = format_command("task=report", f"runs={folder}")
        steps["Its scores on a page, with intervals"] = report
    return steps


def list_wandb_steps(folder: Path) -> dict[str, str | Path]:
    """Returns what to type for W&B's own program, with the runs that it keeps in a folder."""
    offline = [format_operand(run) for run in sorted(folder.glob("offline-run-*"))]
    steps: dict[str, str | Path] = {}
    if offline or any(folder.glob("run-*")):
        steps["Its curves in this terminal"] = format_tool("wandb", "leet", format_operand(folder))
    if offline:
        steps["To the W&B server"] = format_tool("wandb", "sync", *offline)
    return steps
