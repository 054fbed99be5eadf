"""A path on the command line is meant by its name, and a printed command can be pasted."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from PIL import Image

from fcn_lab.cli.paths import FOLDERS, PATH_LISTS, SINGLE_PATHS, find_path, spell_paths
from fcn_lab.config.build import build
from fcn_lab.text import commands
from fcn_lab.text.commands import format_command
from support import forked
from support.commandline import TypeLine
from support.places import RUN

NAMES = (
    *("model=fcn8s,upsample=bilinear,seed=0", "a b", "a,b", "[a]", "[a,b]", "a]b[", "(a)", "{a}"),
    *(
        "a#b",
        "#a",
        "100%",
        "~a",
        "~",
        "it's",
        'say "a"',
        "'a'",
        '"a"',
        "'",
        '"',
        "é",
        "jürgen",
        "/tmp/é",
        "漢字",
        "a:b",
    ),
    *(
        "$a",
        "$",
        "${a}",
        "${seed}",
        "${oc.env:HOME}",
        "a${",
        "\\${a}",
        "a\\",
        "\\\\",
        "\\n",
        "a\nb",
    ),
    *("-a", "--help", "+a", "a=b", "=", "=a", "a==b", "a/", "./a", "../a", "/a/b", " a", "a "),
    *("1", "1e3", ".5", "true", "No", "inf", "nan", "nullx", "choice(a,b)", "range(3)", "a*", "a?"),
    *("a;b", "a|b", "a&b", "a!b", "`a`", "a@b", "<a>", "a\tb", "😀", "..", "."),
)
FREE = [name for name in NAMES if name not in ("'a'", '"a"', "~")]  # where the first two exist


def read(override: str) -> Any:  # noqa: ANN401  (what a config may hold)
    """As Hydra and OmegaConf read it."""
    value = OverridesParser.create().parse_override(override).value()
    return OmegaConf.to_container(OmegaConf.create({"value": value}), resolve=True)["value"]  # type: ignore[index, call-overload]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_exists_is_meant_by_its_name(name: str) -> None:
    Path(name).mkdir(parents=True, exist_ok=True)
    for key in (*FOLDERS, *SINGLE_PATHS, *PATH_LISTS):
        assert find_path(key, [f"{key}={name}"]) == name
        for swept in (False, True):
            assert read(spell_paths(f"{key}={name}", swept)) == name


@pytest.mark.parametrize("name", FREE)
def test_a_name_that_is_still_free_is_meant_as_it_stands(name: str) -> None:
    for key in SINGLE_PATHS:
        assert read(spell_paths(f"{key}={name}", False)) == name
    for key in FOLDERS:
        if "${" not in name:
            assert read(spell_paths(f"{key}={name}", False)) == name


def test_the_folder_of_a_run_may_be_said_by_keys_and_by_the_time() -> None:
    for value in ("${name}", "a b/${now:%Y},x", "${seed}/${choices.model}"):
        parsed = OverridesParser.create().parse_override(
            spell_paths(f"hydra.run.dir={value}", False)
        )
        assert parsed.value() == value
    Path("${seed}").mkdir()
    assert read(spell_paths("hydra.run.dir=${seed}/new", False)) == "${seed}/new"
    assert read(spell_paths("hydra.run.dir=${nothing}", False)) == "${nothing}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[a,b]", ["a", "b"]),
        ("[a=1,b=2, c d ]", ["a=1", "b=2", "c d"]),
        ("[x=1,y=2,z]", ["x=1,y=2", "z"]),
        ("['a,b',\"c\"]", ["a,b", "c"]),
        ("[x=1,y=2]", ["x=1,y=2"]),
        ("[${a},it's]", ["${a}", "it's"]),
        ("[]", []),
    ],
)
def test_a_list_has_the_paths_between_its_commas(value: str, expected: Sequence[str]) -> None:
    Path("x=1,y=2").mkdir()
    for key in PATH_LISTS:
        assert read(spell_paths(f"{key}={value}", False)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a,b", ["a", "b"]),
        ("x=1,y=2,b c", ["x=1,y=2", "b c"]),
        ("'a,b',c", ["a,b", "c"]),
        ("choice(a,b)", ["a", "b"]),
    ],
)
def test_in_a_sweep_commas_part_the_cells_unless_a_name_holds_them(
    value: str, expected: Sequence[str]
) -> None:
    Path("x=1,y=2").mkdir()
    override = OverridesParser.create().parse_override(spell_paths(f"run={value}", True))
    assert override.is_sweep_override()
    elements = [read(f"run={text}") for text in override.sweep_string_iterator()]
    assert elements == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_constructor_is_given_the_text_and_not_what_it_seems_to_refer_to(name: str) -> None:
    node = {"_target_": "builtins.dict", "path": name, "paths": [name, {"inner": name}]}
    built = build({**node, "other": node}, "task", {})
    assert built == {"path": name, "paths": [name, {"inner": name}], "other": built["other"]}
    assert built["other"]["path"] == name


@pytest.mark.parametrize("override", ["run=null", "run=", "runs", "seed=1,2", "name=a b", "~run"])
def test_what_is_no_path_stays_as_it_was_typed(override: str) -> None:
    assert spell_paths(override, False) == override


@pytest.mark.parametrize(
    "override", ["hydra.run.dir=", "hydra.run.dir=''", "hydra.run.dir=null", "+sweep.dir="]
)
def test_a_folder_without_a_name_is_refused_before_anything_is_written(
    override: str, type_line: TypeLine
) -> None:
    done = type_line("data=synthetic", override)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"fcn-lab: {override}: expected the name of a folder\n"
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("value", ["'a b'", '"a b"', "'it\\'s'"])
def test_quotes_for_hydra_come_off_where_no_name_has_them(value: str) -> None:
    expected = value[1:-1].replace("\\", "")
    assert read(spell_paths(f"output={value}", False)) == expected
    assert find_path("output", [f"output={value}"]) == expected


@pytest.mark.parametrize("key", ["sweep.dir", "output", "runs"])
def test_the_home_folder_is_spelt_out_as_a_shell_does(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for value in ("~/a b", "'~/a b'"):
        assert read(spell_paths(f"{key}={value}", False)) == f"{tmp_path}/a b"
        assert find_path(key, [f"{key}={value}"]) == f"{tmp_path}/a b"
    Path("~/a b").mkdir(parents=True)
    assert read(spell_paths(f"{key}=~/a b", False)) == "~/a b"


def test_pythons_own_m_is_not_that_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(commands.START_VARIABLE, "python -m fcn_lab")
    assert format_command("-m", "seed=1") == "python -m fcn_lab -m seed=1"
    commands.keep_flags("--config-dir=mine")
    line = "python -m fcn_lab --config-dir=mine -m seed=1"
    assert format_command("--config-dir=mine", "-m", "seed=1") == line


@pytest.mark.parametrize("name", NAMES)
def test_a_printed_command_pasted_into_a_shell_is_the_same_words(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(commands.START_VARIABLE, "printf '%s\\0'")
    line = format_command(f"resume={name}", "-m")
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert said == f"resume={name}\0-m\0"


def test_a_printed_command_starts_the_lab_as_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("bin", "other"):
        Path(folder).mkdir()
        for program in ("python", "fcn-lab"):
            Path(folder, program).touch(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    for path, python in (("bin", "python"), ("other", "bin/python")):
        monkeypatch.setenv("PATH", str(tmp_path / path))
        for argument, expected in (
            ("run.py", f"{python} run.py"),
            ("/x y/run.py", f"{python} '/x y/run.py'"),
            ("/x/fcn_lab/__main__.py", f"{python} -m fcn_lab"),
        ):
            monkeypatch.setattr(sys, "argv", [argument])
            assert commands.format_start() == expected
        script = str(tmp_path / "bin" / "fcn-lab")
        monkeypatch.setattr(sys, "argv", [script])
        assert commands.format_start() == ("fcn-lab" if path == "bin" else script)


AWKWARD = "a=b, [c] 'd' \"e\" $f {g} #h %i ~j é ${k}"


def test_a_run_goes_into_a_folder_of_any_name_and_is_resumed_and_repeated_by_it(
    type_line: TypeLine,
) -> None:
    ended = type_line("model=fcn8s", f"hydra.run.dir=-x/{AWKWARD}")
    folder = Path("-x", AWKWARD)
    assert ended.err == ""
    assert ended.folder == folder
    assert type_line(f"resume={folder}").command[3] == str(folder / "config.yaml")
    repeated = type_line("--config-path", str(folder), "--config-name=config", "hydra.run.dir=new")
    assert repeated.err == ""
    assert repeated.config["words"]["model"] == "fcn8s"
    (folder / "history.csv").touch()
    refused = type_line(f"hydra.run.dir={folder}")
    line = refused.err.splitlines()[-1]
    assert shlex.split(line)[-1] == f"resume={folder}"


def test_every_key_of_a_path_reaches_the_config_as_it_was_typed(type_line: TypeLine) -> None:
    name = AWKWARD
    words = ("data.root", "init_from")
    config = type_line(*(f"{key}={name}" for key in words)).config
    assert config["data"]["root"] == config["init_from"] == name
    assert config["task"]["data"]["root"] == config["task"]["init_from"] == name


def test_a_sweeps_folder_may_have_any_name_and_stands_for_its_command(
    type_line: TypeLine, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fcn_lab.sweeps.loop.Sweep.run",
        lambda sweep: {c.name: c.read_progress() for c in sweep.cells},
    )
    name = AWKWARD
    Path(name).mkdir()  # else its commas would part two roots
    type_line(stub, "-m", "task=stub", "seed=1,2", f"data.root={name}", f"sweep.dir={name}")
    assert [cell["name"] for cell in json.loads(Path(name, "sweep.json").read_text())["cells"]] == [
        "seed=1",
        "seed=2",
    ]
    again = type_line(stub, "-m", f"sweep.dir={name}")
    assert (again.status, again.err) == (1, "")  # nothing ran
    status = type_line("task=status", f"sweep.dir={name}")
    assert (status.status, status.err) == (0, "")
    assert sorted(os.listdir()) == sorted([name, "own", "stub.py", "torch.py"])


TINY = (
    *("model=fcn8s", "upsample=bilinear", "data=synthetic", "data.size=[32,48]", "logger=none"),
    *("+data.train=4", "+data.val=2", "+data.test=2", "data.batch_size=2"),
    *("encoder.widths=[4,4,8,8,8]", "encoder.head_width=8", "trainer.accelerator=cpu"),
)


@pytest.mark.slow
def test_every_command_takes_a_folder_of_any_name_and_what_it_prints_can_be_pasted(
    tmp_path: Path,
) -> None:
    def run(*words: str) -> None:
        ended = forked.type_line(words, tmp_path)
        assert ended.status == 0, ended.err

    place, one = f"-{AWKWARD}", ("trainer.max_epochs=1",)
    run("-m", *TINY, *one, "seed=0", f"sweep.dir={place}")
    here = tmp_path / place
    (scores,) = here.glob("*/metrics.json")
    cell = f"{place}/{scores.parent.name}"
    run("task=status", f"sweep.dir={place}")
    run("-m", f"sweep.dir={place}")
    for task in ("evaluate", "profile", "export"):
        run(f"task={task}", f"run={cell}", f"hydra.run.dir={place}/{task}")
    (here / "in=put").mkdir()
    Image.new("RGB", (40, 30)).save(here / "in=put" / "a,b=c.png")
    run("task=predict", f"run={cell}", f"input={place}/in=put", f"output={place}/out=put")
    assert (here / "out=put" / "a,b=c.png").exists()
    run(*TINY, *one, f"init_from={cell}", f"hydra.run.dir={place}/warm")
    run("task=report", f"runs={cell}", "output=page")
    run("task=profile", f"runs=[{cell},{place}/warm]", "data.size=[32,48]")


@pytest.mark.slow
def test_the_command_that_a_stopped_run_prints_can_be_pasted(tmp_path: Path) -> None:
    folder = f"-{AWKWARD}/long"
    line = [sys.executable, str(RUN), *TINY, f"hydra.run.dir={folder}", "trainer.max_epochs=40"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        while not (tmp_path / folder / "history.csv").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        said = process.communicate()[0]
    pasted = re.search(r"^stopped; to go on:\n(.*)$", said, re.MULTILINE)
    assert pasted is not None, said
    done = subprocess.run(["sh", "-c", pasted[1]], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / folder / "metrics.json").exists()


def test_commands_of_one_second_have_folders_of_their_own(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 1, 2, 3, 4, 5, next(ticks), tz)

    monkeypatch.setattr("hydra.core.utils.datetime", Clock)
    folders = {type_line("data=synthetic", "logger=none").folder.resolve() for _ in "ab"}
    assert len(folders) == 2
    assert {folder.resolve() for folder in Path("runs").glob("*/*")} == folders
