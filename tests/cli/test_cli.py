"""Words in, one frozen config out, and every mistake in a line or two."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from fcn_lab.cli.arguments import LIST_TASKS
from fcn_lab.signals import StoppedBySignal
from fcn_lab.worker import __main__ as worker_module
from support.commandline import METRICS, TypeLine
from support.places import ROOT, RUN
from support.thin import thin_out
from support.waiting import PATIENCE


def test_help_lists_every_group_without_torch() -> None:
    command = [sys.executable, "-X", "importtime", str(RUN), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for group in ("model: ", "upsample: ", "encoder: ", "data: ", "task: ", "trainer: "):
        assert group in done.stdout
    assert not {"torch", "lightning", "wandb", "numpy"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }


def test_a_line_without_words_trains_the_default_network_on_camvid(type_line: TypeLine) -> None:
    ended = type_line()
    assert ended.command[1:3] == ["-m", "fcn_lab.worker"]
    assert ended.config["words"] == {"model": "fcn16s", "upsample": "transposed", "encoder": "tiny"}
    assert ended.config["choices"]["data"] == "camvid"
    assert ended.config["choices"]["task"] == "train"


def test_the_frozen_config_is_resolved_and_the_run_folder_holds_nothing_else(
    type_line: TypeLine,
) -> None:
    ended = type_line("model=fcn8s", "upsample=max_unpool", "hydra.run.dir=here")
    assert ended.folder == Path("here")
    assert "${" not in (ended.folder / "config.yaml").read_text()
    assert {path.name for path in ended.folder.iterdir()} == {"config.yaml", "attempts"}
    assert "hydra" not in ended.config


@pytest.mark.parametrize(
    ("word", "keys"),
    [
        ("logger=wandb", ["wandb"]),
        ("logger=csv", ["csv"]),
        ("logger=none", []),
        ("logger=[wandb,csv]", ["wandb", "csv"]),
        ("logger=[csv,tensorboard]", ["csv", "tensorboard"]),
    ],
)
def test_loggers_combine(type_line: TypeLine, word: str, keys: list[str]) -> None:
    assert list(type_line(word).config["task"]["loggers"]) == keys


def test_a_key_reaches_every_copy_of_its_node(type_line: TypeLine) -> None:
    config = type_line("encoder.dropout=0.3", "seed=7").config
    assert config["task"]["net"]["encoder"]["dropout"] == 0.3
    assert config["task"]["seed"] == config["task"]["data"]["seed"] == 7


def test_a_network_with_its_own_parts_says_so_in_its_words(type_line: TypeLine) -> None:
    words = type_line("model=smp", "model.encoder_name=resnet34").config["words"]
    assert words["encoder"] == "resnet34"


def test_a_command_is_composed_once(type_line: TypeLine, monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(
        ConfigLoaderImpl,
        "load_configuration",
        lambda *given, **named: composed.append(given) or load(*given, **named),
    )
    assert type_line("seed=4").config["seed"] == 4
    assert len(composed) == 1


def test_flags_may_stand_between_overrides(type_line: TypeLine, stub: str) -> None:
    ended = type_line("task=stub", stub, "seed=4")
    assert ended.config["seed"] == 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["model=fcn9s"], ["model=fcn9s", "Did you mean fcn", "fcn32s", "unet"]),
        (["upsample=billinear"], ["upsample=billinear", "Did you mean bilinear?"]),
        (["-m", "model=fcn8s,fcn9s"], ["model=fcn9s", "fcn8s"]),
        (["seed=1", "-m", "upsample=nearest,neerest"], ["upsample=neerest", "nearest"]),
        (["trainer.max_epoch=3"], ["trainer.max_epoch", "Did you mean trainer.max_epochs?"]),
        (["max_epochs=3"], ["max_epochs", "Did you mean trainer.max_epochs?"]),
        (["modle=fcn8s"], ["modle", "Did you mean model?"]),
        (["model=fcn8s,fcn16s"], ["model=fcn8s,fcn16s", "-m"]),
        (["data.size=[360"], ["data.size=[360", "cannot be read"]),
        (["fcn8s"], ["fcn8s", "key=value"]),
        (["--modle"], ["--modle", "--help"]),
        (["--config-pa", "there"], ["--config-pa", "--help"]),
        (["hydra.mode=MULTIRUN", "seed=1,2"], ["hydra.mode=MULTIRUN", "-m"]),
        (["experiment=nothing"], ["experiment=nothing", "no such word"]),
        (["hydra/launcher=slots", "-m", "seed=1,2"], ["hydra/launcher=slots", "basic"]),
        (["seed=???"], ["seed"]),
        (["capacity=matched", "upsample=carafe"], ["upsample=carafe", "task=capacity"]),
        (
            ["capacity=matched", "upsample=bilinear", "upsample.refine=conv_first"],
            [
                "upsample.refine=conv_first. To find",
                "'upsamples=[bilinear]' 'refines=[conv_first]'",
            ],
        ),
        (["task=evaluate"], ["task=evaluate", "run=RUN_DIR"]),
        (["task=evaluate", "run=nowhere"], ["nowhere", "no such folder"]),
        (["resume=nowhere"], ["nowhere", "no such folder"]),
        (["resume=nowhere", "seed=3"], ["resume=nowhere", "seed=3"]),
        (["--config-path", "nowhere"], ["nowhere"]),
        (["~loss"], ["task.loss: its value is that of loss, which is not there"]),
        (["seed=${nothing}"], ["seed: its value is that of nothing, which is not there"]),
        (["model=[fcn8s]"], ["expected one, as in model=WORD"]),
        (["model=3"], ["model=3: a word was expected", "model= takes fcn16s"]),
        (["model=null"], ["model=null: a word was expected"]),
        (["logger=[csv,3]"], ["logger=[csv,3]: a word was expected", "logger= takes csv"]),
        (["logger=[csv,foo]"], ["logger=foo: there is no such word", "logger= takes csv, none"]),
        (["-m", "model=fcn8s,3"], ["model=fcn8s,3: a word was expected"]),
        (["+model=unet"], ["+model=unet: leave out the +"]),
        (["=3"], ["=3: cannot be read", "key=value"]),
        (["-m", "seed=range(0,0)"], ["seed=range(0,0): it lists no values"]),
        (["-m", "seed=glob(*)", "model=unet"], ["seed=glob(*): it lists no values"]),
        (["task=report", "runs=[]"], ["runs=[]: expected a word or a list of at least 1"]),
        (["task=dashboard", "runs=[]"], ["runs=[]: expected a word or a list of at least 1"]),
        (["task=demo", "runs=[]"], ["runs=[]: expected a word or a list of at least 1"]),
        (["hydra.run.dir=/dev/null/a"], ["/dev/null/a cannot be written: a part of its path"]),
        (["hydra.run.dir=/proc/a"], ["/proc/a cannot be written: its folder does not exist"]),
        (["hydra.run.dir=/dev/null"], ["/dev/null cannot be written: a file that is no folder"]),
    ],
)
def test_a_mistake_ends_in_two_lines_that_name_it(
    type_line: TypeLine, arguments: list[str], expected: list[str]
) -> None:
    ended = type_line(*arguments)
    assert ended.status == 2
    assert not ended.command
    assert len(ended.err.strip().splitlines()) <= 2
    for part in expected:
        assert part in ended.err
    assert not list(Path.cwd().glob("runs/*/*"))
    assert not list(Path.cwd().glob("multirun/*/*/config.yaml"))


@pytest.mark.parametrize("task", ["report", "demo", "dashboard", "profile"])
@pytest.mark.parametrize("runs", ["nowhere", "[.,nowhere]"])
def test_a_folder_of_runs_that_is_not_there_is_named_before_libraries_load(
    task: str, runs: str, type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcn_lab.config.build.build", None)
    ended = type_line(f"task={task}", f"runs={runs}")
    assert (ended.status, ended.out, ended.command) == (2, "", ())
    assert ended.err == (
        "fcn-lab: runs=nowhere: there is no such folder; expected runs or a sweep\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        *(
            ("hydra.run.dir=closed/a",),
            ("-m", "seed=1,2", "sweep.dir=closed/a"),
            ("again=closed/a",),
        ),
        *(("task=evaluate", "run=closed/a"), ("resume=closed/a",), ("-m", "sweep.dir=closed/a")),
    ],
    ids=" ".join,
)
def test_a_folder_that_one_may_not_look_into_is_named(
    words: tuple[str, ...], type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = Path.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if "closed" in path.parent.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    ended = type_line(*words)
    assert ended.status == 2
    assert "closed/a" in ended.err
    assert len(ended.err.splitlines()) <= 2


def test_a_user_who_asks_for_tracebacks_gets_them(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="fcn9s"):
        type_line("model=fcn9s")


def test_a_folder_that_holds_a_run_is_not_written_over(type_line: TypeLine) -> None:
    type_line("hydra.run.dir=here")
    Path("here/history.csv").touch()  # as the first step leaves it
    before = Path("here/config.yaml").read_text()
    ended = type_line("hydra.run.dir=here", "seed=5")
    assert ended.status == 2
    assert "resume=here" in ended.err
    assert Path("here/config.yaml").read_text() == before


def test_resume_goes_on_in_the_run_itself_and_leaves_no_other_folder(type_line: TypeLine) -> None:
    type_line("hydra.run.dir=here")
    ended = type_line("resume=here")
    assert ended.command[3:] == ["here/config.yaml", "--resume"]
    assert [path.name for path in Path.cwd().iterdir()] == ["here"]


def test_a_flag_that_asks_for_a_text_resumes_nothing(type_line: TypeLine) -> None:
    assert type_line("hydra.run.dir=here").status == 0
    before = {path: path.stat().st_mtime_ns for path in Path("here").rglob("*")}
    shown = type_line("resume=here", "--help")
    assert shown.status == 0
    assert "model=" in shown.out
    refused = type_line("resume=here", "--cfg", "job")
    assert (refused.status, refused.out) == (2, "")
    assert "here/config.yaml shows what the run goes on with" in refused.err
    assert {path: path.stat().st_mtime_ns for path in Path("here").rglob("*")} == before


def test_a_folder_of_the_other_kind_is_refused_with_what_to_type(type_line: TypeLine) -> None:
    single = type_line("data=synthetic", "sweep.dir=OUT")
    assert single.status == 2
    assert "-m data=synthetic sweep.dir=OUT" in single.err
    sweep = type_line("-m", "data=synthetic", "seed=0,1", "hydra.run.dir=OUT")
    assert sweep.status == 2
    assert "sweep.dir=FOLDER chooses that of a sweep" in sweep.err
    assert not list(Path.cwd().iterdir())


def test_resuming_a_finished_run_says_that_it_is_done(type_line: TypeLine) -> None:
    type_line("hydra.run.dir=here")
    Path("here/metrics.json").write_text(METRICS)
    ended = type_line("resume=here")
    assert (ended.status, list(ended.command)) == (0, [])
    assert "here is done" in ended.out


def test_a_finished_run_that_gets_more_epochs_goes_on_and_one_that_has_them_is_done(
    type_line: TypeLine,
) -> None:
    type_line("hydra.run.dir=here", "trainer.max_epochs=5")
    Path("here/metrics.json").write_text(METRICS)
    refused = type_line("resume=here", "trainer.max_epochs=7")
    assert refused.status == 2
    assert "is no training" in refused.err
    Path("here/history.csv").touch()
    assert "here is done" in type_line("resume=here", "trainer.max_epochs=5").out
    ended = type_line("resume=here", "trainer.max_epochs=7")
    assert ended.command[3:] == ["here/config.yaml", "--resume", "--epochs=7"]


def test_a_task_that_reads_a_run_refuses_an_unfinished_one_and_leaves_no_folder(
    type_line: TypeLine,
) -> None:
    type_line("hydra.run.dir=here")
    ended = type_line("task=evaluate", "run=here", "hydra.run.dir=there")
    assert ended.status == 2
    assert "resume=here" in ended.err
    assert not Path("there").exists()


def worker(kind: str, *more: str, stub: str) -> "subprocess.Popen[str]":
    line = [sys.executable, str(RUN), stub, "task=stub", f"task.kind={kind}", "hydra.run.dir=here"]
    return subprocess.Popen(
        [*line, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts its background jobs, these tests perhaps among them, deaf to Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_the_worker_runs_the_frozen_config_in_the_very_process_that_was_started(
    stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process = worker("work", stub=stub)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    facts = json.loads(Path("here/facts.json").read_text())
    assert facts["pid"] == process.pid
    assert facts["argv"][1:] == ["here/config.yaml", "--fresh=1"]


@pytest.mark.parametrize(
    ("kind", "more", "status", "expected"),
    [
        ("refuse", [], 2, "fcn-lab: this is not for me\n"),
        ("fail", [], 1, "RuntimeError: went wrong"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("3", [], 2, "fcn-lab: task.kind=3: expected a word\n"),
                ("work", ["task.count=-1"], 2, "fcn-lab: task: count=-1: expected 0 or more\n"),
            )
        ),
    ],
)
def test_the_workers_exit_status_tells_a_mistake_from_a_failure(
    kind: str,
    more: list[str],
    status: int,
    expected: str,
    stub: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    process = worker(kind, *more, stub=stub)
    _, err = process.communicate()
    assert process.returncode == status
    assert expected in err
    assert ("Traceback" in err) == (status == 1)
    assert not Path("here/metrics.json").exists()
    assert Path("here/config.yaml").exists() == Path("here/error.txt").exists() == (status == 1)


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_while_the_command_line_is_imported_leaves_no_traceback(
    ignored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hydra.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, str(RUN), "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL
        ),
    )
    assert process.stdout is not None
    assert "here\n" in process.stdout
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    if ignored:
        assert "ModuleNotFoundError" in err  # it went on to import the rest of Hydra
    else:
        assert (process.returncode, err) == (-signal.SIGINT, "")


@pytest.mark.parametrize("signum", thin_out([signal.SIGINT, signal.SIGTERM], every=2))
def test_a_signal_ends_the_worker_with_the_status_a_shell_expects(
    signum: signal.Signals, stub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process = worker("sleep", stub=stub)
    assert process.stdout is not None
    assert "asleep\n" in process.stdout
    os.kill(process.pid, signum)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signum
    assert "Traceback" not in err
    told, command = out.splitlines()[-2:]
    assert told == "stopped; to begin anew:"
    assert command.endswith(f"run.py {stub} task=stub task.kind=sleep hydra.run.dir=here")


def test_a_stop_is_told_once_and_its_command_replaces_the_results_that_are_there(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = type_line("data=synthetic", "name=x").folder / "config.yaml"
    stop = StoppedBySignal(signal.SIGTERM)

    def break_off(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr(worker_module, "run_config", break_off)
    assert worker_module._run_and_report(config, []) == (143, "")
    assert capfd.readouterr().out.endswith("run.py data=synthetic name=x\n")
    config.write_text("seed: 0\ntask: {overwrite: false}\n")
    assert worker_module._run_and_report(config, []) == (143, "")
    assert capfd.readouterr().out.endswith("run.py data=synthetic name=x overwrite=true\n")
    stop.is_told = True
    assert worker_module._run_and_report(config, []) == (143, "")
    assert capfd.readouterr().out == ""


def test_a_task_without_a_worker_tells_a_stop_too(
    type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fcn_lab.report.task.Report.run", break_off)
    ended = type_line("task=report", "runs=.")
    assert (ended.status, ended.err) == (130, "")
    assert "stopped; to begin anew:\n" in ended.out
    assert ended.out.endswith("run.py task=report runs=.\n")


def test_the_tasks_that_take_lists_of_networks_are_those_that_have_them() -> None:
    files = (ROOT / "conf" / "task").glob("*.yaml")
    assert {f.stem for f in files if "\nmodels: null" in f.read_text()} == set(LIST_TASKS)


@pytest.mark.parametrize("flags", [(), ("-m", "sweep.dir=all")])
@pytest.mark.parametrize("task", LIST_TASKS)
def test_a_task_that_takes_lists_of_networks_says_so_where_they_are_typed_as_a_sweep(
    task: str, flags: tuple[str, ...], type_line: TypeLine
) -> None:
    ended = type_line(*flags, f"task={task}", "model=fcn32s,fcn8s", "upsample=nearest,bilinear")
    assert ended.status == 2
    reason, command = ended.err.splitlines()
    assert reason.endswith(f"task={task} is no sweep; it takes networks in lists:")
    lists = "'models=[fcn32s,fcn8s]' 'upsamples=[nearest,bilinear]'"
    assert command.endswith(f" task={task} {lists}")
    assert " -m " not in command
    assert not Path("all").exists()


@pytest.mark.parametrize(
    ("words", "operand", "advice"),
    [
        (["task=audit", "output=there"], "output=there", "hydra.run.dir=FOLDER"),
        (["output=there"], "output=there", "hydra.run.dir=FOLDER"),
        (["task=evaluate", "input=[a,b]"], "input=['a', 'b']", "task=predict"),
        (["task=export", "runs=there"], "runs=there", "task=report"),
        (["task=report", "runs=there", "input=a"], "input=a", "task=predict"),
        (["-m", "seed=0,1", "output=there", "sweep.dir=all"], "output=there", "sweep.dir=FOLDER"),
    ],
)
def test_an_operand_that_a_task_does_not_read_is_refused(
    words: list[str], operand: str, advice: str, type_line: TypeLine
) -> None:
    ended = type_line(*words)
    assert ended.status == 2
    reason, remedy = ended.err.splitlines()
    task = next((word for word in words if word.startswith("task=")), "task=train")
    assert reason == f"fcn-lab: {operand}: {task} does not read it."
    assert advice in remedy
    assert not any(Path(name).exists() for name in ("runs", "all", "there"))


def test_a_folder_of_ones_own_without_classes_is_told_what_it_needs(type_line: TypeLine) -> None:
    ended = type_line("data=folder")
    assert ended.status == 2
    assert ended.err.startswith("fcn-lab: data=folder needs data.images=")


def test_the_network_has_as_many_scores_as_classes_are_named(type_line: TypeLine) -> None:
    ended = type_line("data=folder", "data.names=[road,car,void]", "hydra.run.dir=RUN_DIR")
    assert ended.status == 0, ended.err
    frozen = yaml.safe_load(Path("RUN_DIR/config.yaml").read_text())
    assert frozen["model"]["num_classes"] == frozen["data"]["classes"] == 2
