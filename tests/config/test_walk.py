"""No value that can be typed ends in a traceback: each is refused in two lines, or it works.

A new word and a new key are walked by themselves: the cases come from conf/.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_type_hints
from zlib import crc32

import pytest
import torch
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from fcn_lab.config.build import build, check, locate
from fcn_lab.config.explain import explain
from fcn_lab.config.plain_keys import PlainKeys, require_plain_keys
from fcn_lab.errors import UserError
from fcn_lab.geometry.sizes import count_channels
from fcn_lab.runs.run import RunFolder
from fcn_lab.training.datamodule import FrameDataModule
from fcn_lab.training.freeze import Freeze
from fcn_lab.training.losses import Loss
from fcn_lab.training.optim import Optim
from fcn_lab.training.settings import TrainerSettings
from fcn_lab.values import list_arguments
from support import fakes, tiny, walking
from support.walking import Key

ENGINES = sorted((walking.CONF / "hydra" / "launcher").glob("*.yaml"))
MISTAKES = (UserError, HydraException, OmegaConfBaseException)
CLASSES, IMAGES = 11, torch.rand(2, 3, 32, 32)
LABELS = torch.randint(0, CLASSES, (2, 32, 32))
Try = Callable[[Any, Path], None]


def train(net: nn.Module, folder: Path) -> None:
    device, channels = next(net.parameters()).device, count_channels(net)
    scores: Tensor = net.train()(torch.rand(2, channels, 32, 32, device=device))
    scores.mean().backward()
    net.eval()(torch.rand(1, channels, 33, 40, device=device))


def load(data: FrameDataModule, folder: Path) -> None:
    for split in data.source.splits:
        data.source.frames(split)
    for loader in (data.train_dataloader, data.val_dataloader, data.test_dataloader):
        next(iter(loader()))


def lose(loss: Loss, folder: Path) -> None:
    loss.calibrate(torch.arange(CLASSES), torch.full((CLASSES,), 100))
    loss(torch.rand(2, CLASSES, 32, 32, requires_grad=True), LABELS).backward()


def step(optim: Optim, folder: Path) -> None:
    net = tiny.Net()
    configured = optim.configure(net, 3)
    for _ in range(4):
        net(IMAGES).sum().backward()
        configured["optimizer"].step()
        configured["lr_scheduler"]["scheduler"].step()
    optim.to_sgd_recipe(1, 100, True)


def begin(training: TrainerSettings, folder: Path) -> None:
    training.check_devices()
    training.create_averaging()
    training.create_trainer(RunFolder(folder))


def freeze(parts: Freeze, folder: Path) -> None:
    parts.apply(tiny.Net())


def score(dense: Callable[[nn.Module], nn.Module], folder: Path) -> None:
    dense(tiny.Sided())(torch.rand(1, 3, 33, 40))


def leave(built: object, folder: Path) -> None:
    """What it does takes a server, a run or minutes; `test_command_lines…` does it."""


# the node that a group's keys end up in, and what is done with what it builds
TRIES: Mapping[str, tuple[str, Try]] = {
    "augment": ("data", load),
    "data": ("data", load),
    "dense": ("dense", score),
    "encoder": ("model", train),
    "freeze": ("freeze", freeze),
    "logger": ("logger", leave),
    "loss": ("loss", lose),
    "model": ("model", train),
    "optim": ("optim", step),
    "schedule": ("optim", step),
    "trainer": ("trainer", begin),
    "upsample": ("model", train),
}


def outcome(line: str, work: Callable[..., object], *given: object) -> str:
    """How typing a line ends; a test fails where it is neither of the two."""
    try:
        work(*given)
    except MISTAKES as error:
        told = explain(error)
        # what CamVid is and where to get it takes more
        most = 20 if line.startswith("data.root=") else 2
        assert 1 <= len(told.strip().splitlines()) <= most, f"{line}: {told}"
        return "refused"
    except Exception as error:
        raise AssertionError(f"{line} ends in {type(error).__name__}: {error}") from error
    return "works"


def walked(group: str, more: Mapping[str, Sequence[str]]) -> Iterator[tuple[DictConfig, Key]]:
    """The keys of a group, each once for every target that has it."""
    seen = set()
    for word in (word for other, word in walking.words() if other == group):
        config = walking.small(group, word, *more.get(word, ()))
        for key in walking.keys(config):
            own = key.name.rpartition(".")[2]
            known = (key.name, "" if own.startswith("_") else key.owner)
            if key.group == group and key.name != group and known not in seen:
                seen.add(known)
                yield config, key


def judge(key: Key, text: str, config: DictConfig) -> None:
    """The first thing that a worker does, for this key alone."""
    place, _, own = key.name.rpartition(".")
    if key.stays_as_typed() and key.owner and own != "_target_":
        check({"_target_": key.owner, own: walking.value(text)}, place, {})
    else:
        check(walking.typed(key, text, config, key.group), key.group, {})


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Sequence[str]]:
    """What the words that read files need, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FCN_LAB_CAMVID", raising=False)
    names = [f"{place}_{number}" for place in "abcdef" for number in range(2)]
    for name in names:
        fakes.save(tmp_path / "own" / "images" / f"{name}.png", fakes.picture(name))
        fakes.save(tmp_path / "own" / "masks" / f"{name}.png", fakes.ids(name, 2))
    fakes.segnet(tmp_path / "set")
    own = ("data.root=own", "data.images=images", "data.masks=masks", "data.names=[road,car]")
    return {"camvid": ("data.root=set", "data.batch_size=2"), "folder": (*own, "data.batch_size=2")}


def test_every_group_has_its_try() -> None:
    assert {group for group, _ in walking.words()} == {*TRIES, "task", "capacity", "start"}


# each value of an eighth of the keys and each key with an eighth of the values, or all of them
SHARES = [8, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.long])]


def is_due(key: Key, number: int, share: int) -> bool:
    """Whether a key's value with this number is among those that are tried."""
    return (crc32(key.name.encode()) + number) % share == 0


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("group", TRIES)
@pytest.mark.filterwarnings("ignore")
def test_a_keys_values_are_refused_in_two_lines_or_work(
    group: str, share: int, files: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    part, attempt = TRIES[group]
    counts: Counter[str] = Counter()

    def work(key: Key, text: str, config: DictConfig) -> None:
        # 15 million parameters need no memory to show that they fit together
        with torch.device("meta") if "VGG16" in key.owner else nullcontext():
            built = build(walking.typed(key, text, config, part), part, {})
        attempt(built, tmp_path)

    for config, key in walked(group, files):
        for text in (t for n, t in enumerate(key.values()) if is_due(key, n, share)):
            line = f"{key.name}={text}"
            how = outcome(line, judge, key, text, config)
            if how == "works":
                how = outcome(line, work, key, text, config)
            counts[how] += 1
    assert counts["refused"] > 0
    print(group, dict(counts))


def test_the_keys_of_tasks_and_those_outside_the_groups_are_judged() -> None:
    operands = ("run=RUN_DIR", "runs=[RUNS]", "input=FILE", "output=FOLDER", "sweep.dir=SWEEP")
    counts: Counter[str] = Counter()
    for config, key in walked("task", {word: operands for _, word in walking.words()}):
        for text in key.values():
            counts[outcome(f"{key.name}={text}", judge, key, text, config)] += 1

    def typed(key: Key, text: str, config: DictConfig) -> None:
        require_plain_keys({key.group: walking.typed(key, text, config, key.group)})

    missing = set()
    for word in ("train", "profile", "capacity"):
        config = walking.small("task", word)
        for key in walking.keys(config):
            if key.group in get_type_hints(PlainKeys):
                for text in key.values():
                    counts[outcome(f"{key.name}={text}", typed, key, text, config)] += 1
            elif key.group not in (*TRIES, "task", "sweep"):
                missing.add(key.group)
    assert not missing, "config.Plain says what a key outside the groups takes"
    assert min(counts.values()) > 100
    print(dict(counts))


def test_the_options_of_engines_and_of_the_demo_are_judged() -> None:
    counts: Counter[str] = Counter()
    nodes = [OmegaConf.to_container(OmegaConf.load(file)) for file in ENGINES]
    targets = [(node["engine"], list(node)) for node in nodes]
    demo = walking.small("task", "demo")
    targets.append((demo.task._target_, list(demo.demo)))
    for target, names in targets:
        for name in set(names) - {"_target_", "_convert_", "engine"}:
            for text in walking.VALUES:
                node = {"_target_": target, name: walking.value(text)}
                counts[outcome(f"{name}={text}", check, node, "", {})] += 1
    print(dict(counts))


def test_every_target_of_the_words_says_what_it_takes() -> None:
    targets = {
        key.default
        for group, word in walking.words()
        for key in walking.keys(OmegaConf.load(walking.CONF / group / f"{word}.yaml"))
        if key.name.endswith("_target_")
    }
    assert not {name for name in targets if list_arguments(locate(name, "")) == ({}, True)}
    assert len(targets) > 50
