"""The numbers of experiments/ are those of its packed runs, and packing loses none."""

import csv
import importlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy.stats import t as student_t

from fcn_lab.report.study import Study
from fcn_lab.runs.sweep import SweepFolder
from support.fakeruns import street, write_grid, write_run
from support.places import ROOT

EXPERIMENTS = ROOT / "experiments"
PUBLISHED = sorted(
    path.parent.relative_to(EXPERIMENTS).as_posix() for path in EXPERIMENTS.glob("**/runs.zip")
)


@pytest.fixture(scope="module")
def publishing() -> Iterator[ModuleType]:
    """experiments/publish.py, which is a script and finds its own modules beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXPERIMENTS))
        yield importlib.import_module("publish")


@pytest.fixture(scope="module")
def judging(publishing: ModuleType) -> ModuleType:
    """experiments/judging.py, which publishing has imported."""
    return importlib.import_module("judging")


@pytest.fixture(scope="module")
def study(publishing: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like experiments/, with a page of claims and one study, published from made runs."""
    place = tmp_path_factory.mktemp("published")
    sweep = write_grid(place / "sweep", models=["fcn32s", "fcn8s"], upsamples=["bilinear"])
    for run in sweep.iterdir():
        command = f"run.py data.root={place}"
        env = {
            **{"git_commit": "0" * 40, "command": command, "processor": "made", "threads": 1},
            **{"device": "1 x cpu", "precision": "32-true", "versions": {"torch": "2.14.0"}},
        }
        (run / "env.json").write_text(json.dumps(env))
        with (run / "config.yaml").open("a") as file:
            file.write(f"data:\n  root: {place}\ntask:\n  data:\n    root: {place}\n")
    asked = ["experiment=skips", f"data.root={place}"]
    SweepFolder(sweep, [], asked=asked, code="1", study={"question": "Which skips?"}).write()
    home = place / "experiments"
    home.mkdir()
    marks = "<!-- figures made scores -->\n<!-- end -->\n"
    for page in (home / "README.md", place / "README.md"):
        page.write_text(f"before\n{marks}after\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "EXPERIMENTS", home)
        patch.setattr(publishing, "FRONT_PAGE", place / "README.md")
        patch.setattr(sys, "argv", ["publish.py", "made", str(sweep)])
        publishing.main()
    return home / "made"


def test_packed_runs_name_no_folder_of_their_machine(study: Path) -> None:
    with zipfile.ZipFile(study / "runs.zip") as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert str(study.parents[1]).encode() not in everything


def test_sweeps_of_one_name_in_two_folders_are_packed_both(
    publishing: ModuleType, tmp_path: Path
) -> None:
    places = [tmp_path / name / "sweep" for name in ("one", "other")]
    for seed, place in enumerate(places):
        write_grid(place, models=["fcn8s"], upsamples=["bilinear"])
        for run in place.iterdir():
            (run / "env.json").write_text(json.dumps({"threads": seed}))
            with (run / "config.yaml").open("a") as file:
                file.write("data: {}\ntask: {}\n")
    publishing.pack_runs(places, tmp_path / "runs.zip")
    with zipfile.ZipFile(tmp_path / "runs.zip") as archive:
        packed = [json.loads(archive.read(n)) for n in archive.namelist() if "env.json" in n]
    assert sorted(env["threads"] for env in packed) == sorted(
        seed for seed, place in enumerate(places) for _ in place.iterdir()
    )


def test_a_new_page_asks_the_studys_question_and_says_what_to_type(study: Path) -> None:
    page = (study / "README.md").read_text()
    assert page.startswith("# Which skips?\n")
    assert "\npython run.py -m experiment=skips data.root=FOLDER\n" in page


def test_pages_get_the_table_between_their_marks(study: Path) -> None:
    for page in (study.parent / "README.md", study.parents[1] / "README.md"):
        before, table, after = re.split(r"<!-- .+ -->\n", page.read_text())
        assert (before, after) == ("before\n", "after\n")
        assert "| fcn8s | 1 |" in table
        assert re.search(r": \d+ on 1 x cpu \(made; threads: 1\), 32-true; torch 2\.14\.0;", table)
    assert (study / "README.md").read_text().count("| fcn8s |") >= 2


def test_the_same_runs_make_the_same_files(
    study: Path, publishing: ModuleType, tmp_path: Path
) -> None:
    again = shutil.copytree(study, tmp_path / "again" / "made")
    publishing.publish(again)
    for path in study.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected STUDY"),
        (["unknown"], "unknown holds no runs.zip yet"),
        (["made", "nowhere"], "runs=nowhere: there is no such folder"),
    ],
)
def test_a_mistake_is_named_and_leaves_the_study_as_it_was(
    words: list[str],
    message: str,
    study: Path,
    publishing: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {path: path.read_bytes() for path in study.iterdir()}
    monkeypatch.setattr(publishing, "EXPERIMENTS", study.parent)
    monkeypatch.setattr(sys, "argv", ["publish.py", *words])
    with pytest.raises(SystemExit, match=message):
        publishing.main()
    assert {path: path.read_bytes() for path in study.iterdir()} == before
    assert not (study.parent / "unknown").exists()


def test_runs_that_cannot_be_published_replace_nothing(
    study: Path, publishing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of two protocols, which shows once they are packed."""
    before = {path: path.read_bytes() for path in study.iterdir()}
    frames, source = street(4)
    for protocol in (
        "synthetic11-48x64-void_ignored-a_split",
        "synthetic11-48x64-void_ignored-b_split",
    ):
        run = write_run(tmp_path / protocol, frames, source, protocol=protocol)
        (run / "env.json").write_text("{}")
    monkeypatch.setattr(publishing, "EXPERIMENTS", study.parent)
    monkeypatch.setattr(sys, "argv", ["publish.py", "made", str(tmp_path)])
    with pytest.raises(SystemExit, match="protocol"):
        publishing.main()
    assert {path: path.read_bytes() for path in study.iterdir()} == before


def test_it_says_what_it_does_and_where_to_look(
    study: Path,
    publishing: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(publishing, "EXPERIMENTS", study.parent)
    monkeypatch.setattr(publishing, "FRONT_PAGE", study.parents[1] / "README.md")
    for name in ("publish", "publish_overview"):
        monkeypatch.setattr(publishing, name, lambda folder: None)
    monkeypatch.setattr(sys, "argv", ["publish.py", "made"])
    publishing.main()
    first, *_, page, _, changes = capsys.readouterr().out.splitlines()
    assert first == f"comparing the runs of {study / 'runs.zip'}"
    assert page.endswith(str(study / "README.md"))
    assert changes == f"  git -C {study.parents[1]} status --short"


def test_the_claims_and_the_front_page_are_those_of_the_published_runs(
    publishing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = shutil.copytree(EXPERIMENTS, tmp_path / "experiments")
    front = Path(shutil.copy(ROOT / "README.md", tmp_path))
    monkeypatch.setattr(publishing, "FRONT_PAGE", front)
    publishing.publish_overview(again)
    assert (again / "README.md").read_text() == (EXPERIMENTS / "README.md").read_text()
    assert front.read_text() == (ROOT / "README.md").read_text()
    assert "figures answer" in front.read_text()


def test_a_claim_is_about_arms_that_its_study_has(publishing: ModuleType) -> None:
    """A name that no cell can have would say "not run yet" for ever."""
    asked = 0
    for claim in publishing.claims.CLAIMS:
        # of `drives` each drive that is held out is a study of its own
        name = claim.study.partition("/")[0]
        recipe = ROOT / "conf" / "experiment" / f"{name}.yaml"
        if not recipe.exists():
            continue
        params = yaml.safe_load(recipe.read_text())["hydra"]["sweeper"]["params"]
        values = {key: str(value).split(",") for key, value in params.items() if key != "seed"}
        words = {word for key, own in values.items() if "." not in key for word in own}
        # those of `drives` are typed beside its command
        if str(params.get("upsample")).startswith("glob") or name == "drives":
            words |= {file.stem for file in (ROOT / "conf" / "upsample").glob("*.yaml")}
        # those of the study's own folder, too
        words |= {file.stem for file in (EXPERIMENTS / name).glob("*/*.yaml")}
        keys = {f"{k.rpartition('.')[2]}={v}" for k, own in values.items() if "." in k for v in own}
        # false is typed beside the command of `skips`, and a page writes both as Python does
        known = words | keys | {"skips=False", "skips=True"}
        for arm in (name for pair in claim.pairs for name in pair):
            assert {*arm.split()} <= known, (claim.text, arm)
        asked += 1
    assert asked


@pytest.mark.parametrize(
    ("ends", "more", "same", "different"),
    [
        ((0.1, 5.0), "holds", "does not hold", "holds"),
        ((-5.0, -0.1), "does not hold", "does not hold", "holds"),
        ((-0.9, 0.9), "does not hold", "holds", "does not hold"),
        ((0.1, 0.9), "holds", "holds", "holds"),
        ((-0.5, 1.5), "cannot be told", "cannot be told", "cannot be told"),
    ],
)
def test_a_claim_is_judged_by_where_its_interval_lies(
    ends: tuple[float, float], more: str, same: str, different: str, judging: ModuleType
) -> None:
    found = judging.Finding(sum(ends) / 2, *ends, (3, 3))
    for expects, verdict in (("more", more), ("the same", same), ("different", different)):
        claim = judging.Claim("a", "b", "c", ("x", "y"), expects)
        assert judging.judge(claim, found) == verdict


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        # of 5! orders two are as far from chance, of 4! as well
        ((0.1, 0.2, 0.3, 0.4, 0.5), "holds"),
        ((0.5, 0.4, 0.3, 0.2, 0.1), "does not hold"),
        ((0.1, 0.2, 0.3, 0.4), "cannot be told"),
        ((0.2, 0.4, 0.1, 0.5, 0.3), "cannot be told"),
    ],
)
def test_val_tells_the_order_of_test_where_chance_would_not(
    test: tuple[float, ...], verdict: str, judging: ModuleType
) -> None:
    assert judging.judge_order(range(len(test)), test)[0] == verdict


def test_other_measures_of_a_study_are_those_of_its_runs(
    study: Path, publishing: ModuleType, judging: ModuleType
) -> None:
    """Over all frames they are the numbers of metrics.json; the better arm comes first."""
    publishing.unpack_runs(study / "runs.zip", study / "unpacked")
    found = publishing.Study.read([study / "unpacked"])
    for measure, key in {
        "mean IoU": "mean_iou",
        "pixel accuracy": "pixel_accuracy",
        "boundary F1": "boundary_f1",
    }.items():
        comparison = judging.measure_arms(found, measure)
        for arm in comparison.arms:
            recorded = [run.number(found.first_run.split, key) for run in arm.runs]
            assert arm.points[:, 0] == pytest.approx(recorded), measure
        first, last = comparison.arms[0].name, comparison.arms[-1].name
        for arms, sign in (((first, last), 1), ((last, first), -1)):
            claim = judging.Claim("a", "b", "made", arms, measure=measure)
            difference = judging.find_difference(claim, found)
            value = comparison.means[first].value - comparison.means[last].value
            assert difference.value == pytest.approx(sign * 100 * value)
            assert difference.low < difference.value < difference.high
    shutil.rmtree(study / "unpacked")


def test_two_choices_that_are_all_combined_are_drawn_together(
    publishing: ModuleType, tmp_path: Path
) -> None:
    sweep = write_grid(tmp_path / "sweep", ("fcn32s", "fcn8s"), ("bilinear", "nearest"), (0, 1))
    study = Study.read([sweep])
    pictures = publishing.draw_pictures(study, publishing.measure_edges(study), tmp_path)
    assert {*pictures} == {"scores", "interaction", "interaction_edges", "curves"}
    for name, tag in pictures.items():
        for theme in ("light", "dark"):
            assert (tmp_path / f"{name}_{theme}.png").stat().st_size > 0
            assert f"{name}_{theme}.png" in tag
    for run in sweep.glob("model=fcn8s,upsample=nearest,*"):
        shutil.rmtree(run)
    assert {*publishing.draw_pictures(Study.read([sweep]), None, tmp_path)} == {"scores", "curves"}


@pytest.mark.parametrize("others", [("transposed",), ("nearest", "transposed")])
def test_contexts_are_compared_by_the_difference_of_differences(
    others: tuple[str, ...],
    judging: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over the same frames these are contrasts of an analysis of variance, seeds as blocks."""
    # all arms of these runs tell the spread of trainings
    monkeypatch.setattr("fcn_lab.report.comparison.LEAST_SHARE", 0.0)
    monkeypatch.setattr("fcn_lab.report.intervals.compute_variance", lambda draws, freedom: 0.0)
    contexts = ("fcn32s", "fcn8s")
    study = Study.read([write_grid(tmp_path, contexts, ("bilinear", *others))])
    rows = {(run.metrics["model"], run.metrics["upsample"], run.seed): run for run in study.runs}
    scores = [100 * run.number("test", "mean_iou") for run in rows.values()]
    arms = list(dict.fromkeys((model, operator) for model, operator, _ in rows))
    design = [
        [*((model, operator) == arm for arm in arms), *(seed == own for own in (1, 2))]
        for model, operator, seed in rows
    ]
    solution, [squares], rank, _ = np.linalg.lstsq(np.array(design, float), scores, rcond=None)
    means = dict(zip(arms, solution, strict=False))
    freedom = len(scores) - rank
    error = np.sqrt(squares / freedom * 4 / 3)
    gaps = {
        other: np.subtract(*(means[c, other] - means[c, "bilinear"] for c in contexts))
        for other in others
    }
    # of the first, whose gap is the larger, none is tested before; it is rejected
    assert len(gaps) == 1 or abs(gaps["nearest"]) > student_t.isf(0.05 / 4, freedom) * error
    for other, gap in gaps.items():
        level = 0.05 / (2 if other == "nearest" else 1)
        radius = student_t.isf(level / 2, freedom) * error
        claim = judging.Claim(
            *("a", "b", "grid", (other, "bilinear"), "different"), contexts=contexts
        )
        found = judging.find_difference(claim, study)
        assert (found.value, found.low, found.high) == pytest.approx(
            (gap, gap - radius, gap + radius)
        )
        assert found.seeds == (3, 3)


def test_steps_to_a_score_are_compared_by_their_ratio(judging: ModuleType) -> None:
    """The interval is Student's with four degrees of freedom, whose 97.5 % point is 2.7764451."""
    ends = [[4, 5, 6], [6, 8, 9]]

    def make_run(end: int) -> SimpleNamespace:
        scores = [0.1 * step for step in range(1, 6)] + [0.5] * 9
        moved = [0.0] * (end - 5) + scores if end > 5 else scores[5 - end :]
        return SimpleNamespace(
            history=[
                {"step": str(step), "val/mean_iou": str(score)}
                for step, score in enumerate(moved, 1)
            ]
        )

    arms = [SimpleNamespace(runs=[make_run(end) for end in own]) for own in ends]
    found = judging.compare_speed(*arms, share=1.0)
    logs = [np.log(own) for own in ends]
    gap = logs[0].mean() - logs[1].mean()
    spread = 2.7764451 * np.sqrt((logs[0].var(ddof=1) + logs[1].var(ddof=1)) / 3)
    for end, expected in zip(
        (found.value, found.low, found.high), (gap, gap + spread, gap - spread), strict=True
    ):
        assert end == pytest.approx(100 * (1 - np.exp(expected)))
    sooner = judging.compare_speed(*arms, share=0.5)
    assert sooner.value > found.value  # two steps less of each


def test_the_gradient_of_the_first_stage_is_compared_by_its_ratio(
    judging: ModuleType, tmp_path: Path
) -> None:
    """Shares of the last stage: 4 of one arm, 2 of the other, but for the spread of seeds."""
    spread = [0.8, 1.0, 1.25]

    def make_run(place: str, share: float) -> SimpleNamespace:
        folder = tmp_path / place
        folder.mkdir()
        rows = [f"{step},{share * scale},{scale}" for step, scale in enumerate((1.0, 3.0, 0.5))]
        (folder / "gradients.csv").write_text("\n".join(["step,stem,head", *rows]))
        return SimpleNamespace(folder=folder)

    arms = [
        SimpleNamespace(runs=[make_run(f"{mean}-{by}", mean * by) for by in spread])
        for mean in (4.0, 2.0)
    ]
    found = judging.compare_gradients(*arms)
    assert found.value == pytest.approx(100)
    radius = 2.7764451 * np.log(spread).std(ddof=1) * np.sqrt(2 / 3)
    assert [found.low, found.high] == pytest.approx(
        [100 * (2 * np.exp(end) - 1) for end in (-radius, radius)]
    )
    assert found.seeds == (3, 3)


def test_made_scores_are_those_of_their_matrices(study: Path) -> None:
    require_scores_of_matrices(study)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_scores_are_those_of_their_matrices(name: str) -> None:
    require_scores_of_matrices(EXPERIMENTS / name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_pages_are_what_their_runs_say(
    name: str, publishing: ModuleType, tmp_path: Path
) -> None:
    again = shutil.copytree(EXPERIMENTS / name, tmp_path / name)
    publishing.publish(again)
    for page in ("README.md", "results.csv"):
        assert (again / page).read_text() == (EXPERIMENTS / name / page).read_text()
    assert (again / "runs.zip").stat().st_size < 2e6


def require_scores_of_matrices(folder: Path) -> None:
    """Compares results.csv with the definition of its scores, written here anew."""
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = []
    with zipfile.ZipFile(folder / "runs.zip") as archive:
        for name in archive.namelist():
            if name.endswith("confusions.npz"):
                with archive.open(name) as packed:
                    matrix = np.load(packed)["matrices"].sum(0, dtype=np.int64)
                hits, truth, said = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
                there = truth + said > 0
                iou = hits[there] / (truth + said - hits)[there]
                found.append((hits.sum() / truth.sum(), iou.mean()))
    written = [(float(row["test_pixel_accuracy"]), float(row["test_mean_iou"])) for row in rows]
    np.testing.assert_allclose(sorted(written), sorted(found), rtol=1e-6)


@pytest.mark.slow
def test_the_bench_prints_every_table_and_writes_nothing_when_quick() -> None:
    page = EXPERIMENTS / "speed" / "README.md"
    before = page.read_bytes()
    command = [sys.executable, str(EXPERIMENTS / "bench.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    titles = re.findall(r"^### (.+)$", done.stdout, re.MULTILINE)
    assert len(titles) == 5
    assert "\n| upsampling costs much memory, raw |" in done.stdout
    for operator in sorted((ROOT / "conf" / "upsample").glob("*.yaml")):
        assert f"\n| {operator.stem} |" in done.stdout
    assert page.read_bytes() == before


@pytest.mark.parametrize("recipe", sorted(p.parent.name for p in EXPERIMENTS.glob("*/trials.csv")))
def test_a_table_of_trials_is_the_mean_over_seeds_of_what_was_written_down(
    recipe: str, publishing: ModuleType
) -> None:
    trials = importlib.import_module("trials")
    folder = EXPERIMENTS / recipe
    table = trials.tabulate_trials(folder / "trials.csv")
    assert f"<!-- figures trials -->\n{table}\n<!-- end -->" in (folder / "README.md").read_text()
    with (folder / "trials.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    head, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines())
    shown = 0
    for settings, precision, epochs, seeds, *scores in rows:
        for title, score in zip(head[4:], scores, strict=True):
            found = [
                100 * float(row["val_mean_iou"])
                for row in written
                if (
                    f"`{row['settings']}`",
                    row["precision"],
                    row["epochs"],
                    f"val at {row['epoch']}",
                )
                == (settings, precision, epochs, title)
            ]
            assert score == (f"{np.mean(found):.1f}" if len(found) == int(seeds) else "")
            shown += bool(score)
    assert shown > len(rows)


def test_runs_are_added_to_a_table_of_trials_or_take_their_own_places(
    publishing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = importlib.import_module("trials")

    def add(seed: int, score: float, **settings: object) -> None:
        data = {"held_out": None, "size": [180, 240], **settings}
        config = {
            "choices": {"model": "fcn2s", "augment": "strong"},
            "data": data,
            "task": {"net": {"upsample": {"refine": "conv"}}},
        }
        val = {"iou": dict.fromkeys(trials.SMALL, score), "mean_iou": score}
        monkeypatch.setattr(trials, "read_frozen", lambda _: config)
        monkeypatch.setattr(trials, "read_metrics", lambda _: {"val": val, "seed": seed, "macs": 1})
        trials.add_scores([Path("run")], tmp_path / "suspects.csv")

    add(0, 0.3, size=[360, 480])
    add(0, 0.1, held_out="A")
    add(0, 0.4)
    add(1, 0.5)
    add(0, 0.6)
    with (tmp_path / "suspects.csv").open(newline="") as file:
        rows = [(row["settings"], row["seed"], row["mean IoU"]) for row in csv.DictReader(file)]
    assert rows == [
        ("model=fcn2s", "0", "0.6"),
        ("model=fcn2s", "1", "0.5"),
        ("model=fcn2s data.split_by=drive data.held_out=A", "0", "0.1"),
        ("model=fcn2s data.size=[360,480]", "0", "0.3"),
    ]


@pytest.mark.parametrize(
    "path",
    sorted(path for name in ("scoring", "suspects") for path in EXPERIMENTS.glob(f"*/{name}.csv")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_a_table_of_scores_on_val_is_the_mean_over_seeds_of_what_was_written_down(
    path: Path, publishing: ModuleType
) -> None:
    table = importlib.import_module("trials").tabulate_scores(path)
    page = (path.parent / "README.md").read_text()
    assert f"<!-- figures {path.stem} -->\n{table}\n<!-- end -->" in page
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    head, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines())
    assert {f"`{row['settings']}`" for row in written} == {settings for settings, *_ in rows}
    for settings, _, seeds, *scores, single in rows:
        found = [row for row in written if f"`{row['settings']}`" == settings]
        # at full size a training takes longer, and there are fewer
        assert [row["seed"] for row in found] == ["0", "1", "2"][: int(seeds)]
        assert len(found) == int(seeds)
        for title, score in zip(head[3:-1], scores, strict=True):
            assert score == f"{np.mean([100 * float(row[title]) for row in found]):.1f}"
        assert single == ", ".join(f"{100 * float(row['mean IoU']):.1f}" for row in found)
