"""Whole command lines, drawn from right and wrong words: each is a run, or one or two lines."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.forked import type_line

pytestmark = [pytest.mark.slow, pytest.mark.long]
LINES, SEED = 100, 0
SMALL = (
    *("data=synthetic", "data.size=[32,32]", "data.batch_size=2", "+data.train=3", "+data.val=1"),
    *("+data.test=1", "logger=none", "trainer.max_epochs=1", "trainer.accelerator=cpu"),
    *("encoder.widths=[2,2,2,2,2]", "encoder.head_width=2", "model=fcn32s", "upsample=bilinear"),
)
# what each task needs to run; {run} is a finished run, {pictures} a folder of pictures
TASKS = {
    "train": SMALL,
    "evaluate": ("run={run}", "trainer.accelerator=cpu"),
    "predict": ("run={run}", "input={pictures}", "output=out"),
    "export": ("run={run}", "format=torchscript", "output=net.pt"),
    "profile": SMALL,
    "shapes": SMALL,
    "ceilings": SMALL,
    "audit": SMALL,
    "report": ("runs={run}", "output=page"),
    "status": ("sweep.dir={run}",),
    "dashboard": ("runs={run}", "output=board"),
    "staged": (*SMALL, "model=fcn16s", "trainer.max_epochs=2"),
}
RIGHT = (
    *("model=fcn16s", "model=unet", "model=segnet", "model=fcn2s", "upsample=nearest", "seed=3"),
    *("upsample=max_unpool", "upsample=bed_of_nails", "upsample.refine=conv", "loss=ce_dice"),
    *("optim=sgd", "schedule=cosine", "augment=none", "freeze=encoder", "flip=true", "name=x"),
    *("logger=csv", "trainer.precision=32-true", "data.split=val", "hydra.run.dir=place/run"),
    *("scores=true", "overwrite=true", "optim.lr=0.01", "trainer=cpu", "encoder=lite0"),
)
WRONG = (
    # words and keys that there are not
    *("model=fcn7s", "modle=fcn8s", "upsample=", "task=nothing", "encoder=vgg", "data=cityscapes"),
    *(
        "experiment=nothing",
        "hydra/launcher=nothing",
        "hydra/sweeper=nothing",
        "nothing",
        "=",
        "=x",
    ),
    *("model", "model==fcn8s", "model.nothing=1", "nothing.at.all=1", "+nothing", "~nothing"),
    *("~model", "~data", "~task", "++model=fcn8s", "+model=fcn8s", "model@task.net=fcn8s"),
    # values of another kind
    *("model=[fcn8s,fcn16s]", "model={a:1}", "model=null", "task=null", "data=null", "seed=x"),
    *("seed=1.5", "data.size=32", "data.size=[1]", "data.size=[0,0]", "data.batch_size=0"),
    *("trainer.max_epochs=0", "trainer.devices=99", "trainer.accelerator=tpu", "optim.lr=fast"),
    *("trainer.precision=8", "upsample.refine=always", "model.stride=3", "data.split=nothing"),
    *("freeze=[encoder]", "loss=null", "optim=null", "schedule=null", "augment=null", "name=[]"),
    *("choices=null", "words=null", "words.model=1", "hydra=null", "sweep=null", "sweep=1"),
    *("study=1", "study={question: why}", "arm=[1]", "group={}", "allow=1", "allow=[os.system]"),
    *("run=1", "run=[a,b]", "runs={}", "input=null", "output=[]", "scores=perhaps", "flip=2"),
    # places that are not there, or take nothing
    *("run=nowhere", "resume=nowhere", "again=nowhere", "runs=nowhere", "input=nowhere"),
    *("init_from=nowhere", "data.root=nowhere", "weights=nowhere", "output=/proc/x", "run="),
    *("hydra.run.dir=/proc/x", "hydra.run.dir=", "hydra.run.dir=null", "sweep.dir=nowhere"),
    *("resume={run}", "again={run}", "init_from={run}", "run={pictures}", "runs={pictures}"),
    # what only a sweep has, and other flags
    *("model=fcn8s,fcn16s", "seed=range(3)", "optim.lr=interval(0,1)", "seed=choice(0,1)"),
    *("experiment=skips", "experiment=tune", "experiment=recipe", "--nothing", "--version"),
    *("--config-name", "--config-name=nothing", "--config-path=nowhere", "--config-dir=nowhere"),
    *("--cfg", "--cfg=job", "--info=nothing", "--info=defaults", "--resolve", "--package=data"),
    *("--experimental-rerun=x", "-c", "--hydra-help", "--help", "-m"),
    # characters of the shell, of Hydra and of YAML
    *("seed=${seed}", "seed=${nothing}", "name=${oc.env:NOTHING}", "name=${", "name='", 'name="'),
    *("name=[", "name={", "name=\\", "name=a b", "name=a,b", "name=é✓", "name=a\nb", "name=#"),
    *("name=%", "name=~", "name=*", "name=a/b", "name=../x", "name=" + "x" * 300, "", " ", "''"),
)


def draw_lines(rng: random.Random) -> Iterator[list[str]]:
    """A task with what it needs, some of it left out, and right and wrong words between."""
    while True:
        task = rng.choice(list(TASKS))
        needed = [word for word in TASKS[task] if rng.random() < 0.97]
        more = rng.sample(RIGHT, rng.randrange(3)) + rng.sample(WRONG, rng.randrange(3))
        for word in more:
            needed.insert(rng.randrange(len(needed) + 1), word)
        yield [f"task={task}", *needed] if rng.random() < 0.95 else needed


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run, and a folder of pictures."""
    root = tmp_path_factory.mktemp("places")
    (root / "pictures").mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(root / "pictures" / name)
    done = type_line([*SMALL, f"hydra.run.dir={root / 'run'}"], root)
    assert done.status == 0, done.out + done.err
    return {"run": root / "run", "pictures": root / "pictures"}


def test_a_command_line_is_a_run_or_one_or_two_lines(
    places: dict[str, Path], tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()
    faults = []
    for number, words in zip(range(LINES), draw_lines(random.Random(SEED)), strict=False):
        typed = [
            word.format(**places) if "{run}" in word or "{pictures}" in word else word
            for word in words
        ]
        here = tmp_path / str(number)
        here.mkdir()
        done = type_line(typed, here)
        told = done.out + done.err
        last = done.err[done.err.rfind("fcn-lab: ") :].strip().splitlines()
        refused = done.err.startswith("fcn-lab: ") or "\nfcn-lab: " in done.err
        # the one message of the lab that lists more: where CamVid can be had
        short = 1 <= len(last) <= 2 or "fcn-lab: No CamVid data" in done.err
        if "Traceback" in told or (done.status != 0 and not (refused and short)):
            faults.append(f"{typed}: status {done.status}\n{told[-1500:]}")
        outcomes["refused" if done.status else "ran"] += 1
    print(f"command lines: {dict(outcomes)}")
    assert not faults, "\n\n".join(faults)
    assert min(outcomes["refused"], outcomes["ran"]) > LINES // 10
