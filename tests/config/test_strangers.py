"""A run's or a sweep's folder from a stranger: no command runs what it names, or reads a secret."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fcn_lab import load_run
from fcn_lab.api import build_network
from fcn_lab.config import trust
from fcn_lab.config.build import check
from fcn_lab.config.frozen import read_recorded
from fcn_lab.config.trust import find_targets, list_targets
from fcn_lab.errors import UserError
from fcn_lab.sweeps import snapshot
from fcn_lab.sweeps.engines.slurm_job import read_result
from fcn_lab.worker import __main__ as worker
from fcn_lab.worker import preflight
from support.commandline import METRICS, Ended, TypeLine
from support.places import CONF

MARK = "ran"
Config = dict[str, Any]
# nodes that would leave a file MARK, hand out what does, or read what is not theirs
NODES: dict[str, Config] = {
    "a function of the system": {"_target_": "os.system", "command": f"touch {MARK}"},
    "positional arguments": {"_target_": "subprocess.run", "_args_": [["touch", MARK]]},
    "torch's own shell": {
        "_target_": "torch.utils.collect_env.run",
        "command": f"touch {MARK}",
    },
    "a built-in": {"_target_": "builtins.open", "file": MARK, "mode": "w"},
    "a pickle": {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
    "half a call": {"_target_": "functools.partial", "_args_": [os.system.__name__]},
    "a finder": {"_target_": "hydra.utils.get_method", "path": "os.system"},
    "a finder by position": {"_target_": "hydra.utils.get_method", "_args_": ["os.system"]},
    "another finder": {"_target_": "hydra.utils.get_object", "path": "os.system"},
    "a builder of nodes": {"_target_": "hydra.utils.instantiate", "config": {"a": 1}},
    "a module that ours imports": {
        "_target_": "fcn_lab.cli.main.os.system",
        "command": f"touch {MARK}",
    },
    "a class that ours imports": {"_target_": "fcn_lab.runs.run.Path", "_args_": [MARK]},
    "a function of ours that writes": {
        "_target_": "fcn_lab.files.write_text",
        "path": MARK,
        "text": "",
    },
    "a function of ours that starts git": {
        "_target_": "fcn_lab.runs.provenance.run_git",
        "_args_": [".", "init"],
    },
    "a class of ours that no word names": {
        "_target_": "fcn_lab.worker.supervisor.Supervisor",
        "job": None,
    },
    "a name that is none": {"_target_": ["os.system"], "command": f"touch {MARK}"},
    "a partial of one": {"_target_": "os.system", "_partial_": True, "command": f"touch {MARK}"},
    "one inside a list inside ours": {
        "_target_": "fcn_lab.training.losses.WeightedSum",
        "weights": [1.0],
        "losses": [{"_target_": "os.system", "command": f"touch {MARK}"}],
    },
}
EVIL = NODES["a function of the system"]


def plant(folder: str, change: Callable[[Config], object]) -> Path:
    """A finished run whose config.yaml was changed by hand."""
    path = Path(folder) / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    (Path(folder) / "metrics.json").write_text(METRICS)
    return path


def everywhere(node: Config) -> Callable[[Config], None]:
    """Puts a node wherever a command may take its network, its data and its loss from."""

    def change(config: Config) -> None:
        config["model"] = config["task"]["net"] = node
        for key in ("loss", "upsample", "encoder"):
            config[key] = node
        config["links"] = {}

    return change


def with_own_loss(config: Config) -> None:
    """As a run of a user's own loss is recorded."""
    config["loss"] = config["task"]["loss"] = {"_target_": "my.Loss"}


@pytest.fixture
def run(record: Callable[..., None]) -> str:
    """A recorded run of today."""
    record("there", "model=fcn8s", "data=synthetic", "logger=none")
    shutil.rmtree("there/attempts", ignore_errors=True)
    return "there"


def refused(ended: Ended, name: str = "os.system") -> bool:
    """Whether it ended in a few lines that say what would have run and what lets it."""
    told = name in ended.err and "allow=" in ended.err and len(ended.err.strip().splitlines()) <= 3
    return told and ended.status == 2 and not ended.command and not Path(MARK).exists()


@pytest.mark.parametrize(
    "words",
    [
        ("resume=there",),
        ("task=evaluate", "run=there"),
        ("task=predict", "run=there", "input=there", "output=out"),
        ("task=export", "run=there"),
        ("task=profile", "run=there"),
        ("again=there",),
        ("--config-path", "there", "--config-name", "config"),
        ("-m", "again=there", "seed=1,2", "sweep.dir=all"),
    ],
    ids=" ".join,
)
def test_no_command_builds_what_a_recorded_config_names(
    words: tuple[str, ...], run: str, type_line: TypeLine
) -> None:
    plant(run, everywhere(EVIL))
    assert refused(type_line(*words))


@pytest.mark.parametrize("name", NODES)
def test_no_node_of_a_recorded_config_is_built(
    name: str, run: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = plant(run, everywhere(NODES[name]))
    imported: list[str] = []
    monkeypatch.setattr("fcn_lab.config.build.import_module", imported.append)
    for build in (
        lambda: load_run(run),
        lambda: worker.run_config(path),
        lambda: worker.run_config(path, True),
    ):
        with pytest.raises(UserError, match="allow"):
            build()
    assert preflight.main([run]) == 2
    assert "allow=" in capfd.readouterr().err
    assert not Path(MARK).exists()
    assert not imported


def test_what_the_user_allows_is_built(run: str, type_line: TypeLine) -> None:
    plant(run, with_own_loss)
    Path(run, "metrics.json").unlink()
    assert refused(type_line("resume=there"), "my.Loss")
    allowed = type_line("resume=there", "allow=[my.Loss]")
    assert (allowed.status, allowed.command[-1]) == (0, "--resume")


def test_the_users_own_words_allow_what_they_name(
    run: str, type_line: TypeLine, tmp_path: Path
) -> None:
    plant(run, with_own_loss)
    Path(run, "metrics.json").unlink()
    word = tmp_path / "mine" / "loss" / "my.yaml"
    word.parent.mkdir(parents=True)
    word.write_text("_target_: my.Loss\n")
    stray = tmp_path / "mine" / "there" / "config.yaml"  # no word, though it lies there
    stray.parent.mkdir()
    stray.write_text("_target_: os.system\n")
    for flag in ("--config-dir=mine", f"hydra.searchpath=[file://{tmp_path / 'mine'}]"):
        assert type_line("resume=there", flag).status == 0
    plant(run, everywhere(EVIL))
    assert refused(type_line("resume=there", "--config-dir=mine"))


def test_what_a_command_names_itself_is_allowed_by_that(run: str, type_line: TypeLine) -> None:
    plant(run, everywhere(EVIL))
    again = type_line(
        "again=there", "task=train", "model=unet", "encoder=tiny", "upsample=nearest",
        "data=synthetic", "loss=dice", "trainer=cpu", "optim.optimizer._target_=torch.optim.Rprop",
    )  # fmt: skip
    assert "torch.optim.Rprop" not in again.err


def test_a_record_cannot_allow_anything_by_itself(run: str, type_line: TypeLine) -> None:
    plant(run, lambda c: (everywhere(EVIL)(c), c.update(allow=["os.system"])))
    for words in (("resume=there",), ("again=there",), ("task=evaluate", "run=there")):
        assert refused(type_line(*words))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["links"].update(name="oc.env:SECRET"), "names no key"),
        (lambda c: c.update(oc={"env:A": 1}) or c["links"].update(name="oc.env:A"), "no key"),
        (lambda c: c["links"].update(name="nothing.there"), "nowhere"),
        (lambda c: c["links"].update(name="name"), "around"),
        (lambda c: c.update(links=["name"]), "links"),
        (lambda c: c.update(choices="fcn8s"), "choices"),
        (lambda c: c["choices"].update(model=5), "choices"),
        (lambda c: c["choices"].update(logger=["csv", 5]), "choices"),
        (lambda c: c.pop("task"), "task"),
    ],
)  # fmt: skip
def test_a_recorded_config_reads_nothing_of_this_machine(
    change: Callable[[Config], object], told: str, run: str, type_line: TypeLine
) -> None:
    path = plant(run, change)
    for read in (lambda: read_recorded(path), lambda: load_run(run)):
        with pytest.raises(UserError, match=told):
            read()
    for words in (("again=there",), ("-m", "again=there", "seed=1,2")):
        ended = type_line(*words)
        assert (ended.status, ended.command) == (2, ())
        assert told in ended.err


@pytest.mark.parametrize(
    "change", [{"net": [1]}, {"_partial_": True}, {"_recursive_": False}, {"_args_": [1]}], ids=str
)
def test_a_task_that_is_none_of_the_labs_is_named(change: Config, run: str) -> None:
    path = plant(run, lambda c: c["task"].update(change))
    for resume in (False, True):
        with pytest.raises(UserError, match=r"config\.yaml is damaged: its key `task`"):
            worker.run_config(path, resume)


@pytest.mark.parametrize("text", ["${oc.env:SECRET}", "${seed}", "\\${seed}", "${b:${c}}"])
def test_what_looks_like_a_reference_in_a_recorded_config_is_a_text(
    text: str, run: str, type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hush")
    path = plant(run, lambda c: (c.update(group=text), c["data"].update(root=text)))
    assert read_recorded(path).group == read_recorded(path).data.root == text
    config = type_line("--config-path", "there", "--config-name", "config").config
    assert config["data"]["root"] == text


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"n{i}: &n{i} [{', '.join([f'*n{i - 1}' if i else '1'] * 9)}]\n" for i in range(9)),
        "a: &a [*a]\n",
        "a: " + "[" * 5000,
        "a: " + "- " * 5000,
        "a: !!python/object/apply:os.system ['touch ran']\n",
        "a: [" + "1, " * 2**20 + "]",
    ],
    ids=["a bomb", "a node that holds itself", "brackets", "dashes", "a tag of Python", "a size"],
)
def test_a_yaml_that_is_no_runs_is_not_built(text: str, run: str) -> None:
    path = Path(run) / "config.yaml"
    path.write_text(path.read_text() + text)
    with pytest.raises(UserError, match="damaged"):
        load_run(run)
    with pytest.raises(UserError, match="damaged"):
        worker.run_config(path)
    assert not Path(MARK).exists()


def test_links_that_stand_for_gigabytes_are_counted_and_not_followed(run: str) -> None:
    def change(config: Config) -> None:
        for level in range(60):
            config[f"n{level}"] = {"x": 0, "y": 0}
        for level in range(59):
            config["links"] |= {f"n{level}.{name}": f"n{level + 1}" for name in "xy"}

    plant(run, change)
    with pytest.raises(UserError, match="stand for more"):
        load_run(run)


def test_a_primary_config_of_hydras_is_never_taken_from_a_folder(
    type_line: TypeLine, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    callback = {"_target_": "os.system", "command": f"touch {MARK}"}
    hydra = {"callbacks": {"evil": callback}, "job_logging": {"()": "os.system"}}
    config = {"hydra": hydra, "again": None, "choices": {}, "links": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for flags in ((), ("--cfg", "job"), ("--info",), ("-m", "seed=1,2")):
        for flag in ("--config-path", "--config-pa"):
            ended = type_line(flag, str(folder), "--config-name", "config", *flags)
            assert ended.status == 2
            assert not Path(MARK).exists()


@pytest.mark.parametrize(
    "line",
    [
        "loss._target_=os.system",
        "+loss.x={_target_:os.system}",
        "encoder.builder.path=os.system",
        "allow=[os.system]",
        "hydra.launcher.setup=[touch ran]",
        "hydra.launcher.engine=os.system",
        "hydra/launcher=slurm",
        "hydra.searchpath=[file:///tmp]",
        "hydra.sweeper._recursive_=true",
        "hydra.sweeper.sampler._target_=os.system",
        "hydra.sweeper.params.allow=[os.system]",
        "hydra/sweeper=../../theirs/evil",
        "model='../../theirs/evil'",
        "model=fcn8s,'../../theirs/evil'",
        "seed=${oc.env:SECRET}",
        "data.root='\\\\${oc.env:SECRET}'",
        "loss@hydra.callbacks.x=dice",
    ],
)
def test_a_recorded_command_holds_words_and_plain_values(line: str, type_line: TypeLine) -> None:
    record = Path("all/sweep.json")
    record.parent.mkdir()
    record.write_text(json.dumps({"cells": [], "asked": ["model=fcn8s,unet", line]}))
    ended = type_line("-m", "sweep.dir=all")
    assert ended.status == 2
    assert "sweep.json" in ended.err
    assert not Path(MARK).exists()
    assert not list(Path("all").glob("*/config.yaml"))


def test_the_sources_that_a_sweep_keeps_are_ours_or_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sources" / "fcn_lab"
    package.mkdir(parents=True)
    (package / "net.py").write_text("depth = 1\n")
    monkeypatch.setattr(snapshot, "PACKAGE", package)
    sweep = tmp_path / "theirs"
    place = sweep / "code" / snapshot.copy_sources(sweep)
    snapshot.copy_sources(sweep)  # untouched, it is taken as it is
    compiled = place / "fcn_lab" / "__pycache__" / "net.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"evil")
    snapshot.copy_sources(sweep)
    assert not compiled.exists()
    # another cell is about to rename it
    half = compiled.with_name(f"{compiled.name}.140234")
    half.write_bytes(b"half")
    snapshot.copy_sources(sweep)
    for name in ("torch.py", "fcn_lab/sitecustomize.py", "fcn_lab/net.py", "conf/loss/x.yaml"):
        kept = Path(shutil.copytree(place, tmp_path / "kept"))
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("_target_: os.system\n")
        with pytest.raises(UserError, match=r"none of the lab's files"):
            snapshot.copy_sources(sweep)
        shutil.rmtree(place)
        kept.rename(place)
    (place / "fcn_lab/net.py").unlink()
    with pytest.raises(UserError, match="lacks files"):
        snapshot.copy_sources(sweep)


def test_a_link_that_leads_out_of_a_run_keeps_it_from_going_on(
    run: str, type_line: TypeLine, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    Path(run, "error.txt").symlink_to(tmp_path / "mine.txt")
    ended = type_line("resume=there")
    assert ended.status == 2
    assert "there/error.txt is a link that leads out" in ended.err
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_run_that_was_moved_goes_on_beside_wandbs_link_to_its_first_place(
    run: str, type_line: TypeLine, tmp_path: Path
) -> None:
    logs = Path(run, "wandb/offline-run-20261127_095802-399f2c1183ae/logs")
    logs.mkdir(parents=True)
    (logs / "debug-core.log").symlink_to(tmp_path / "elsewhere/core-debug.log")
    assert type_line("resume=there").command[-1] == "--resume"


def test_a_broken_word_beside_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "broken.yaml").write_text("a: [")
    (tmp_path / "loss" / "mine.yaml").write_text("_target_: mine.Loss")
    assert list_targets(tmp_path) == {"mine.Loss"}


def test_links_that_lead_round_do_no_harm(run: str, type_line: TypeLine) -> None:
    Path(run, "round").symlink_to("round")
    assert "going on with there" in type_line("resume=there").out


@pytest.mark.parametrize("trainer", ["cpu", None])
def test_a_record_whose_trainer_has_no_keys_is_done_where_it_has_scores(
    trainer: str | None, run: str, type_line: TypeLine
) -> None:
    plant(run, lambda c: c.update(trainer=trainer, links={}))
    ended = type_line("resume=there")
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize("name", ["config.yaml", "metrics.json"])
def test_a_link_in_the_place_of_a_record_is_not_followed(
    name: str, run: str, type_line: TypeLine, tmp_path: Path
) -> None:
    plant(run, lambda config: None)
    Path(run, name).rename(tmp_path / "elsewhere")
    Path(run, name).symlink_to(tmp_path / "elsewhere")
    ended = type_line("task=evaluate", "run=there")
    assert ended.status == 2
    assert f"{name} is damaged: it is a link" in ended.err


@pytest.mark.parametrize("name", ["tu-hf-hub:them/evil", "tu-local-dir:there", "../there"])
def test_the_name_of_an_encoder_is_no_place(name: str) -> None:
    with pytest.raises(UserError, match=r"encoder\.name=.*expected the name"):
        build_network(["encoder=smp", f"encoder.name='{name}'"])


def test_overrides_that_a_record_keeps_build_nothing_but_ours() -> None:
    with pytest.raises(UserError, match="allow"):
        build_network(["upsample._target_=os.system"])


def test_a_pickle_that_names_code_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "1_0_result.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    assert read_result(path)[0] == "error"
    assert not Path(MARK).exists()


def test_all_that_conf_builds_is_allowed_and_nothing_of_the_machines() -> None:
    conf = CONF
    files = [file for file in conf.glob("*/*.yaml")]
    named = {name for file in files for name in find_targets(yaml.safe_load(file.read_text()))}
    assert len(files) > 60
    assert named <= trust.list_shipped()
    roots = {name.partition(".")[0] for name in trust.list_shipped()}
    assert roots == {"fcn_lab", "torch", "torchvision", "hydra"}


def list_nodes(node: Any) -> Iterator[Config]:  # noqa: ANN401 - any node
    values = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for inner in values:
        if isinstance(inner, dict) and "_target_" in inner and "_partial_" not in inner:
            yield inner
        yield from list_nodes(inner)


def is_refused(config: Config) -> bool:
    try:
        check(config["task"], "task", config["links"])
    except UserError:
        return True
    return False


@pytest.mark.parametrize("loss", ["ce", "ce_weighted"])
def test_an_object_that_is_only_half_built_is_refused_wherever_it_stands(
    loss: str, type_line: TypeLine
) -> None:
    assert type_line(f"loss={loss}", "data=synthetic", "hydra.run.dir=run").status == 0
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    passed = []
    for node in list_nodes(config["task"]):
        node["_partial_"] = True
        if not is_refused(config):
            passed.append(node["_target_"].rpartition(".")[2])
        del node["_partial_"]
    assert passed == []
    assert not is_refused(config)
