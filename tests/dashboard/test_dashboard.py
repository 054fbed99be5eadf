"""The dashboard: its JSON read back, its keys against those of a logged run, the sweep's words."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
import yaml
from wandb_workspaces.reports.v2 import internal as report_models
from wandb_workspaces.workspaces import internal as workspace_models

from fcn_lab.config.frozen import find_conf_folder, list_words
from fcn_lab.config.words import compose
from fcn_lab.dashboard import wandb_sweep as sweepfile
from fcn_lab.dashboard import workspace as board
from fcn_lab.dashboard.selection import TABLES, Selection, find_config_key
from fcn_lab.dashboard.task import Dashboard, list_tables
from fcn_lab.errors import UserError
from fcn_lab.report.study import Study
from fcn_lab.training.loggers.wandb_run import Wandb
from support import fakeruns
from support.accounts import CONFIG, nobodys_home  # noqa: F401  (a fixture for all tests here)
from support.commandline import TypeLine
from support.offline import Read, offline_runs
from support.places import ROOT
from support.tiny import make_train

SELECTION = Selection(
    ("first", "second"),
    "test",
    ("Ground", "Square"),
    {"models": "words.model", "operators": "words.upsample", "optim.lr": "optim.lr"},
)
EXPERIMENTS = ROOT / "experiments"


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fakeruns.write_grid(tmp_path_factory.mktemp("grid"), count=6, seeds=(0, 1))
    for path in folder.rglob("config.yaml"):
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "group": "grid"}))
    return folder


def logged(folder: Path) -> Read:
    """A training run, logged offline and read back."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    make_train({"max_epochs": 1}, {"wandb": Wandb(group="first")}).run(folder)
    return offline_runs(folder)[0]


def nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every mapping in a JSON tree."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for child in tree:
            yield from nodes(child)


def read_workspace(text: str) -> ws.Workspace:
    """The workspace that such JSON describes."""
    model = workspace_models.View.model_validate_json(text)
    workspace: ws.Workspace = ws.Workspace._from_model(model)
    return workspace


def read_report(text: str) -> wr.Report:
    """The report that such JSON describes."""
    model = report_models.ReportViewspec.model_validate_json(text)
    report: wr.Report = wr.Report._from_model(model)
    # `_from_model` leaves the width out
    report.width = cast(Any, model.spec.width)
    return report


def test_a_workspace_is_read_back_as_it_was() -> None:
    written = board.to_json(board.create_workspace(SELECTION, "project", "team"))
    read = read_workspace(written)
    assert json.loads(board.to_json(read)) == json.loads(written)
    assert (read.project, read.entity) == ("project", "team")
    assert read.runset_settings.groupby == [ws.Config(key) for key in SELECTION.axes.values()]
    assert "'first'" in str(read.runset_settings.filters)
    assert [section.name for section in read.sections] == list(board.list_sections(SELECTION))
    kinds = {type(panel) for section in read.sections for panel in section.panels}
    charts = {wr.BarPlot, wr.LinePlot, wr.ParallelCoordinatesPlot, wr.MediaBrowser}
    assert kinds == {*charts, wr.WeavePanelSummaryTable}


def test_a_report_is_read_back_as_it_was() -> None:
    written = board.to_json(
        board.create_report(SELECTION, "project", "team", "What was **asked**.")
    )
    read = read_report(written)
    assert json.loads(board.to_json(read)) == json.loads(written)
    assert wr.MarkdownBlock("What was **asked**.") in read.blocks
    grids = [block for block in read.blocks if isinstance(block, wr.PanelGrid)]
    assert len(grids) == len(board.list_sections(SELECTION))
    *trained, tables = [grid.runsets[0].filters for grid in grids]
    of_the_study = """Metric("Group") in ['first', 'second'] and Metric("JobType")"""
    assert set(trained) == {f"{of_the_study} != 'report'"}
    assert tables == f"{of_the_study} == 'report'"


def test_panels_of_a_report_do_not_overlap() -> None:
    page = board.create_report(SELECTION, "project", "team", "")
    for grid in (block for block in page.blocks if isinstance(block, wr.PanelGrid)):
        places = [panel.layout for panel in grid.panels]
        cells = [
            (x, y) for p in places for x in range(p.x, p.x + p.w) for y in range(p.y, p.y + p.h)
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24


def test_every_key_of_a_panel_is_one_that_a_run_logs(tmp_path: Path) -> None:
    run = logged(tmp_path / "cell")
    keys = run.keys | set(run.summary)
    tree = json.loads(board.to_json(board.create_workspace(SELECTION, "project", "team")))
    asked, chosen = set(), set()
    for node in nodes(tree["spec"]["section"]["panelBankConfig"]):
        asked |= {*node.get("metrics", ()), *node.get("mediaKeys", ())}
        if str(node.get("xAxis", "_")).count("/"):
            asked.add(node["xAxis"])
        if node.get("type") == "string" and "val" in node:
            asked.add(node["val"])  # a table's name
        if "groupBy" in node:
            chosen.add(node["groupBy"].replace(".value", ""))
        kind, _, key = node.get("accessor", "").partition(":")
        (chosen if kind == "config" else asked).add(key.replace(".value", ""))
    asked -= {"", *TABLES}
    assert len(asked) > 10
    assert [
        key for key in asked if not any(k == key or k.startswith(f"{key}/") for k in keys)
    ] == []
    chosen -= {""}
    assert chosen == {"words.model", "words.upsample", "optim.lr", "seed"}
    for key in chosen:
        first, *rest = key.split(".")
        found = run.config[first]
        for name in rest:
            found = found[name]
    assert run.run.run_group in SELECTION.groups
    made: Any = sweepfile.build_sweep(list_words([find_conf_folder()]))
    assert made["metric"]["name"] in run.summary


def test_a_factor_is_a_word_or_a_key() -> None:
    config = {"choices": {"loss": "dice"}}
    assert find_config_key("model", config) == "words.model"
    assert find_config_key("loss", config) == "choices.loss"
    assert find_config_key("optim.lr", config) == "optim.lr"


def test_without_a_key_all_lies_in_the_folder(
    grid: Path, tmp_path: Path, type_line: TypeLine
) -> None:
    ended = type_line("task=dashboard", f"runs={grid}", "output=board", "logger.wandb.project=mine")
    assert ended.status == 0, ended.err
    assert "W&B is offline" in ended.out
    study, folder = Study.read([grid]), tmp_path / "board"
    view = read_workspace((folder / "workspace.json").read_text())
    page = read_report((folder / "report.json").read_text())
    assert (view.project, page.project) == ("mine", "mine")
    assert (
        view.name == page.title == Selection.from_study(study).name == "models and operators, grid"
    )
    (run,) = offline_runs(folder)
    assert (run.run.project, run.run.run_group, run.run.job_type) == ("mine", "grid", "report")
    assert run.status == [0]
    media = next((folder / "wandb").glob("offline-run-*")) / "files"
    shown = {row for keys in run.rows for row in keys}
    for name, table in list_tables(study).items():
        assert f"{name}/path" in shown
        (path,) = media.rglob(f"{name}_*.table.json")
        kept = json.loads(path.read_text())
        assert kept["columns"] == list(table.columns)
        assert kept["data"] == [list(row) for row in table.rows]
    assert {"low", "high"} <= set(list_tables(study)["arms"].columns)


def test_where_wandb_is_disabled_nothing_is_sent(
    grid: Path, tmp_path: Path, type_line: TypeLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    ended = type_line("task=dashboard", f"runs={grid}", "output=board")
    assert ended.status == 0, ended.err
    assert "or disabled" in ended.out
    written = next(line for line in ended.out.splitlines() if line.startswith("written: "))
    for path in written.removeprefix("written: ").split(", "):
        assert (tmp_path / path).exists()


def test_with_a_key_both_are_saved(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved: list[Any] = []

    def save(self: Any) -> Any:  # noqa: ANN401
        saved.append(self)
        return SimpleNamespace(url=f"https://server/{len(saved)}")

    monkeypatch.setattr("fcn_lab.dashboard.task.log_results", lambda *args: "team")
    monkeypatch.setattr(ws.Workspace, "save", save)
    monkeypatch.setattr(wr.Report, "save", save)
    Dashboard(str(grid), str(tmp_path / "board"), "mine").run()
    assert [(type(made), made.entity) for made in saved] == [
        (ws.Workspace, "team"),
        (wr.Report, "team"),
    ]
    assert "https://server/2" in capsys.readouterr().out


def test_a_server_that_refuses_leaves_the_files(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise wandb.errors.CommError("not allowed")

    monkeypatch.setattr("fcn_lab.dashboard.task.log_results", lambda *args: "team")
    monkeypatch.setattr(ws.Workspace, "save", refuse)
    with pytest.raises(UserError, match="did not take the dashboard of mine: not allowed"):
        Dashboard(str(grid), str(tmp_path / "board"), "mine").run()
    for name in ("workspace.json", "report.json", "wandb_sweep.yaml"):
        assert (tmp_path / "board" / name).is_file()


def test_what_is_missing_is_named(type_line: TypeLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "needs runs=FOLDER" in type_line("task=dashboard").err
    assert "no such folder" in type_line("task=dashboard", "runs=nowhere").err
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'fcn-lab\[dashboard\]'"):
        Dashboard("runs")


def test_the_sweep_file_is_what_the_words_make() -> None:
    made = sweepfile.format_sweep(list_words([find_conf_folder()]))
    assert (EXPERIMENTS / "wandb_sweep.yaml").read_text() == made, (
        "conf/ has changed: task=dashboard writes a new wandb_sweep.yaml"
    )


def test_a_cell_of_the_sweep_composes() -> None:
    """The agent puts KEY=VALUE for each parameter where ${args_no_hyphens} stands."""
    sweep = yaml.safe_load((EXPERIMENTS / "wandb_sweep.yaml").read_text())
    assert sweep["command"] == ["${env}", "python", "${program}", "${args_no_hyphens}"]
    parameters = {key: node["values"] for key, node in sweep["parameters"].items()}
    assert parameters["model"] == ["fcn32s", "fcn16s", "fcn8s", "fcn4s", "fcn2s"]
    assert set(parameters["upsample"]) == list_words([find_conf_folder()])["upsample"]
    for place in range(max(map(len, parameters.values()))):
        cell = {key: values[place % len(values)] for key, values in parameters.items()}
        config = compose([f"{key}={value}" for key, value in cell.items()])
        assert config.model.stride == int(cell["model"][3:-1])
        assert config.seed == cell["seed"]
