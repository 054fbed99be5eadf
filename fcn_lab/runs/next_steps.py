"""The commands that a task prints at its end: what can be done with its runs."""

from collections.abc import Sequence
from pathlib import Path

from fcn_lab.runs.names import CONFUSIONS, PANELS, UNSENT
from fcn_lab.text.commands import format_command, format_operand, format_tool


def list_run_steps(folder: Path) -> dict[str, str | Path]:
    """Returns the files to open and the commands to type after a finished run."""
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
    """Returns the commands of W&B's own program for the W&B runs in a folder."""
    offline, online = list(folder.glob("offline-run-*")), list(folder.glob("run-*"))
    left = [*offline, *(run for run in online if (run / UNSENT).exists())]
    # W&B's own program writes this file when it has sent a run
    left = [run for run in left if not any(run.glob("*.wandb.synced"))]
    steps: dict[str, str | Path] = {}
    if offline or online:
        steps["Its curves in this terminal"] = format_tool("wandb", "leet", format_operand(folder))
    if left:
        # by time, without the prefix: W&B takes the parts of a run in their order
        left.sort(key=lambda run: run.name.removeprefix("offline-"))
        steps["To the W&B server"] = format_sync(left)
    return steps


def format_sync(runs: Sequence[Path]) -> str:
    """Returns the command that sends W&B runs; without its flag it would skip online ones."""
    flags = () if all(run.name.startswith("offline-") for run in runs) else ("--no-skip-online",)
    return format_tool("wandb", "sync", *flags, *map(format_operand, runs))
