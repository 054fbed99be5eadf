"""How fast the CPU recipes train: python experiments/bench_recipes.py data.root=FOLDER.

Each recipe takes its own steps (crop, batch, loss, optimiser, loader) in a process of its own: as
this processor computes it, in float32, and in float32 by AVX2's instructions alone, which stands
for a processor that has no others. What a step is made of is read by torch's profiler. Writes the
tables into experiments/speed/README.md.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from bench import PAGE, tabulate
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from omegaconf import OmegaConf
from publish import replace_block
from torch.profiler import ProfilerActivity, profile

from fcn_lab.config.build import build
from fcn_lab.config.words import compose
from fcn_lab.errors import UserError
from fcn_lab.runs.processor import describe_processor
from fcn_lab.tasks.train import Train
from fcn_lab.text.terminal import format_count
from fcn_lab.training.precision import cpu_has_bf16
from fcn_lab.worker.supervisor import MALLOC_VARIABLES
from fcn_lab.worker.workload import measure_pace

# each with what it has otherwise
RECIPES = ("camvid_cpu", "camvid_cpu upsample.refine=conv_first", "camvid_pretrained")
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
# the parts of a step, each with what torch calls its operations; the first that fits counts
PARTS = {
    "convolution": ("convolution",),
    "normalisation": ("batch_norm",),
    "interpolation": ("upsample",),
    "changes of type or layout": ("copy_",),
    "the loss": ("softmax", "nll_loss", "gather", "index_add", "bincount", "scatter"),
    "the optimiser": ("lerp", "addcdiv", "addcmul", "sqrt"),
}
REST = "other operations"


def main() -> None:
    """Measures every recipe in every arithmetic, prints the tables and writes them."""
    words = sys.argv[1:]
    if words[:1] == ["--child"]:
        try:
            print(json.dumps(measure(words[1:])))
        except (UserError, HydraException) as error:
            sys.exit(f"bench_recipes.py: {error}")
        return
    arithmetics = {"float32": ("32-true", {}), "float32, AVX2 alone": ("32-true", AVX2)}
    if cpu_has_bf16():
        arithmetics = {"bf16": ("bf16-mixed", {}), **arithmetics}
    paces, shares = [], []
    for recipe in RECIPES:
        first: float | None = None
        for name, (precision, limits) in arithmetics.items():
            choice = f"experiment={recipe}".split()
            command = [*choice, f"trainer.precision={precision}", *words]
            result = run_child(command, limits)
            first = first or result["frames"]
            ratio = f"{result['frames'] / first:.2f}"
            minutes = f"{result['epoch'] / 60:.1f}"
            paces.append((recipe, name, f"{result['frames']:.1f}", ratio, minutes))
            parts = (f"{100 * result['shares'][part]:.0f}" for part in (*PARTS, REST))
            shares.append((f"{recipe}, {name}", *parts))
    text = [
        f"{describe_processor()}, {format_count(torch.get_num_threads(), 'thread')}, "
        f"torch {torch.__version__}.",
        tabulate(
            "The CPU recipes",
            ("recipe", "arithmetic", "frames/s", "ratio to the first", "minutes an epoch"),
            paces,
        ),
        tabulate("What their steps are made of, % of time", ("recipe", *PARTS, REST), shares),
    ]
    print(*text, sep="\n\n")
    replace_block(PAGE, "recipes", text)


def run_child(words: Iterable[str], variables: Mapping[str, str]) -> dict[str, Any]:
    """Measures one recipe in a process whose libraries may use these instructions."""
    command = [sys.executable, __file__, "--child", *words]
    env = {**os.environ, **MALLOC_VARIABLES, **variables}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        # it has said why
        sys.exit(done.returncode)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(words: Iterable[str]) -> dict[str, Any]:
    """Returns frames a second of the training loop, seconds an epoch, and the parts of a step."""
    setup_globals()
    config = compose([*words, "logger=none"])
    HydraConfig.instance().set_config(config)
    task: Train = build(OmegaConf.to_container(config.task, resolve=True), "task", {})
    pace = measure_pace(task)
    frames = len(task.data.source.frames("train"))
    return {
        "frames": 1 / pace.training,
        "epoch": frames * pace.training,
        "shares": profile_step(task),
    }


def profile_step(task: Train) -> dict[str, float]:
    """Returns the share of each part in the time of a step's operations, on a CPU."""
    module = task.create_module().train()
    assert module.loss is not None
    assert task.optim is not None
    optimizer = torch.optim.AdamW(module.net.parameters())
    batch = next(iter(task.data.train_dataloader()))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in task.training.precision):
            loss = module.loss(module(batch["image"]), batch["label"].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    with profile(activities=[ProfilerActivity.CPU]) as record:
        step()
    times = dict.fromkeys((*PARTS, REST), 0.0)
    for event in record.key_averages():
        times[find_part(event.key)] += event.self_cpu_time_total
    return {part: seconds / sum(times.values()) for part, seconds in times.items()}


def find_part(operation: str) -> str:
    """Returns the part of a step that an operation of torch belongs to."""
    fits = (part for part, names in PARTS.items() if any(name in operation for name in names))
    return next(fits, REST)


if __name__ == "__main__":
    main()
