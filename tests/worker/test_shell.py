"""Whatever a shell hands over: a command ends in two lines, or runs as in a clean one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.rank_zero import _get_rank

from fcn_lab.errors import UserError
from fcn_lab.text.commands import quote
from fcn_lab.text.escaping import terminal_text
from fcn_lab.training.ranks import LAUNCHERS, SRUN, TORCHRUN, count_processes, is_first_rank
from fcn_lab.training.settings import create_cluster_environment
from fcn_lab.worker.shell import READ_ON_IMPORT, THREAD_VARIABLES, check_shell, mend_width
from fcn_lab.worker.supervisor import build_worker_environment
from support.commandline import TypeLine
from support.places import RUN

TORCHRUNS = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "29500"}
SRUNS = {name: "2" for name in LAUNCHERS["srun --ntasks-per-node="]}
OF_RANKS = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"),
    *("SLURM_NODEID", "SLURM_JOB_ID", "SLURM_NODELIST", SRUN, "JSM_NAMESPACE_RANK"),
)
VALUES = ("", "x", "-1", "0", "1", "3", "1.5", "9" * 30, "½", "\udcff")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher has started the tests either."""
    for name in (*OF_RANKS, TORCHRUN, *THREAD_VARIABLES, *READ_ON_IMPORT):
        monkeypatch.delenv(name, raising=False)


def refused() -> str:
    """The two lines of the refusal, or nothing."""
    try:
        check_shell()
    except UserError as error:
        said = str(error)
    else:
        said = ""
    assert len(said.splitlines()) <= 2
    return said


@pytest.mark.parametrize("name", OF_RANKS)
def test_a_variable_of_ranks_without_its_launcher_is_named_or_makes_no_difference(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # srun's own mark with a number is srun's
    for value in (value for value in VALUES if name != SRUN or not value.isdecimal()):
        with monkeypatch.context() as given:
            given.setenv(name, value)
            if said := refused():
                assert said.startswith(f"{name}={terminal_text(value)} ")
                assert f"unset {name}" in said
                continue
            assert count_processes() == 1
            for key in set(os.environ) - set(build_worker_environment()):
                given.delenv(key)
            # by Lightning's own reading
            assert is_first_rank()
            assert _get_rank() in (None, 0)
            ranks = create_cluster_environment()
            assert isinstance(ranks, LightningEnvironment)
            assert not ranks.creates_processes_externally
            assert ranks.main_address == "127.0.0.1"
            assert ranks.main_port > 0


@pytest.mark.parametrize(("mark", "given"), [(TORCHRUN, TORCHRUNS), (SRUN, SRUNS)])
def test_what_a_launcher_sets_is_believed_whole_and_refused_in_part(
    mark: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mark, "2")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert not refused()
    assert count_processes() == 2
    assert given.items() <= build_worker_environment().items()
    assert not isinstance(create_cluster_environment(), LightningEnvironment)
    for name in given:
        for value in ("", "x", "-1", "1.5", "½", None):
            with monkeypatch.context() as broken:
                if value is None:
                    broken.delenv(name)
                else:
                    broken.setenv(name, value)
                assert refused().startswith(name)
    if "MASTER_PORT" in given:
        monkeypatch.setenv("MASTER_PORT", "70000")
        assert "MASTER_PORT=70000: expected a port" in refused()


def test_a_command_in_several_tasks_of_srun_begins_no_run(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SRUNS, SRUN: "2", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    ended = type_line("data=synthetic", "hydra.run.dir=run")
    assert ended.status == 2
    assert "srun started this command in 2 tasks" in ended.err
    assert not Path("run").exists()


@pytest.mark.parametrize("name", THREAD_VARIABLES)
def test_threads_are_a_number_of_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in VALUES:
        monkeypatch.setenv(name, value)
        assert bool(refused()) == (value not in ("", "1", "3"))
        monkeypatch.setenv(name, f"{value},2")
        assert bool(refused()) == (value not in ("1", "3"))


def test_lightnings_own_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_TRAINER_LIMIT_TRAIN_BATCHES", "2")
    assert refused().endswith("Type: unset PL_TRAINER_LIMIT_TRAIN_BATCHES")


def test_what_a_library_refuses_while_it_is_imported_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "import os",
        "if os.environ['PICKY'] != 'good':",
        "  raise ValueError('\\nbad; not good')",
    ]
    (tmp_path / "picky.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(READ_ON_IMPORT, "PICKY", "picky")
    assert refused() == ""
    monkeypatch.setenv("PICKY", "wrong")
    assert refused() == (
        "PICKY=wrong in the environment: picky refuses it (bad).\nType: unset PICKY"
    )
    monkeypatch.setenv("PICKY", "good")
    assert refused() == ""


@pytest.mark.parametrize(("told", "kept"), [("0", None), ("", None), ("1", "1"), ("100", "100")])
def test_a_width_of_nothing_is_forgotten(
    told: str, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", told)
    mend_width()
    assert os.environ.get("COLUMNS") == kept


def test_a_folder_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refused().endswith("cd FOLDER, to one that exists")


@pytest.mark.parametrize(
    ("name", "value"),
    [("RANK", "garbage"), ("SLURM_PROCID", "7"), ("WORLD_SIZE", "4"), ("OMP_NUM_THREADS", "many")],
)
def test_a_command_is_refused_before_anything_reads_its_environment(
    name: str, value: str, type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    ended = type_line("data=synthetic")
    assert (ended.status, list(ended.command)) == (2, [])
    assert ended.err.startswith(f"fcn-lab: {name}={value}")
    assert not list(Path.cwd().iterdir())


def test_a_torchrun_without_its_variables_is_refused_by_every_rank(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TORCHRUN, "none")
    assert type_line("data=synthetic").err.startswith("fcn-lab: RANK (not set)")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run_python(
    code: str, shell: str = "", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """What a small program says after `shell` has taken its streams away."""
    line = f"exec {sys.executable} -c '{code}' {shell}"
    package = {"PYTHONPATH": str(RUN.parent)}
    return subprocess.run(
        ["bash", "-c", line], env={**os.environ, **package, **environment}, capture_output=True
    )


@pytest.mark.parametrize("locale", [ASCII, {"LC_ALL": "xx_YY.garbage"}, {"LC_ALL": "POSIX"}])
def test_names_and_texts_are_utf8_in_every_locale(locale: dict[str, str]) -> None:
    code = (
        "import os, sys; from fcn_lab.worker.shell import speak_utf8; speak_utf8()\n"
        "print(open(os.devnull).encoding, sys.getfilesystemencoding(), sys.argv[1:])"
    )
    done = run_python(code, "a é", **locale)
    assert (done.returncode, done.stdout.decode()) == (0, "utf-8 utf-8 ['a', 'é']\n")


@pytest.mark.parametrize(
    "shell", [">&-", "<&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full"]
)
def test_no_print_fails_and_no_file_takes_the_place_of_a_closed_stream(
    shell: str, tmp_path: Path
) -> None:
    code = (
        "import os, sys; from fcn_lab.worker.shell import mend_streams; mend_streams()\n"
        'file = open(os.environ["FILE"], "w")\n'
        "assert file.fileno() > 2\n"
        'print("to the terminal", flush=True); print("a mistake", file=sys.stderr, flush=True)\n'
        'file.write("in the file")'
    )
    done = run_python(code, shell, FILE=str(tmp_path / "file"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "in the file"
    assert (b"to the terminal" in done.stdout) == (shell in ("<&-", "2>&-", "2>/dev/full"))


def test_a_reader_that_has_gone_ends_nothing() -> None:
    code = (
        "import sys; from fcn_lab.worker.shell import mend_streams; mend_streams()\n"
        "for number in range(100_000): print(number)\n"
        'sys.stderr.write("to the end")'
    )
    done = run_python(code, "| head -1")
    assert (done.stdout, done.stderr) == (b"0\n", b"to the end")


@pytest.mark.parametrize("word", ["a", "a b", "é", "it's", "a\udcff b'\\", "\udc80\n"])
def test_a_quoted_word_is_the_word_again(word: str) -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {quote(word)}"], capture_output=True)
    assert done.stdout == os.fsencode(word)
