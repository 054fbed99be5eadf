"""Publishes a study: python experiments/publish.py STUDY [FOLDER …].

With folders of runs or sweeps, their finished runs are packed into experiments/STUDY/runs.zip. From
that file alone everything else is written: results.csv, the figures, and in the study's README.md
what stands between ``<!-- figures STUDY -->`` and ``<!-- end -->``, the same on every machine.
"""

import csv
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import claims
import figures
from judging import has_boundaries, measure_arms
from packing import pack_runs, unpack_runs
from scipy.optimize import brentq

from fcn_lab.errors import UserError
from fcn_lab.report.answer import describe_answer, describe_ties
from fcn_lab.report.charts import draw_forest, draw_interaction, draw_learning
from fcn_lab.report.formatting import format_interval
from fcn_lab.report.gradient_flow import format_report as format_gradients
from fcn_lab.report.intervals import Estimate
from fcn_lab.report.power import compute_power
from fcn_lab.report.study import Study
from fcn_lab.report.tables import tabulate_gaps
from fcn_lab.report.writing import write_report
from fcn_lab.text.commands import quote
from fcn_lab.text.escaping import csv_cell
from fcn_lab.text.terminal import format_count, format_percent, print_next

EXPERIMENTS = Path(__file__).parent
FRONT_PAGE = EXPERIMENTS.parent / "README.md"
SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iou", "fw_iou", "boundary_f1")
# of the front page, each with the study that answers it
QUESTIONS = {"Which skip connections?": "skips", "Which upsampling?": "operators"}
PILOT = "pilot"  # tells the spread by which the studies' seeds were chosen
EDGE_MEASURE = "boundary F1"
# of a report's Markdown, what a study's page shows
SECTIONS = ("Scores", "Differences", "Differences at edges", "Classes")


def main() -> None:
    """Packs the runs of the folders named, where any are, and writes the study's files."""
    if len(sys.argv) < 2:
        sys.exit("publish.py: expected STUDY [FOLDER …], a folder of experiments/ and its runs")
    study, *sources = sys.argv[1:]
    folder = EXPERIMENTS / study
    archive = folder / "runs.zip"
    last_archive = archive.read_bytes() if archive.exists() else None
    try:
        if sources:
            print(f"packing the runs into {archive}", flush=True)
            pack_runs([Path(source) for source in sources], archive)
        elif last_archive is None:
            raise UserError(
                f"{study} holds no runs.zip yet: name the folders of its runs behind it"
            )
        print(f"comparing the runs of {archive}", flush=True)
        publish(folder)
    except Exception as error:
        # what cannot be published replaces nothing
        if last_archive is not None:
            archive.write_bytes(last_archive)
        if isinstance(error, UserError):
            sys.exit(f"publish.py: {error}")
        raise
    print(f"writing the claims of all studies into {EXPERIMENTS / 'README.md'}", flush=True)
    publish_overview(EXPERIMENTS)
    changes = f"git -C {quote(str(FRONT_PAGE.parent))} status --short"
    print_next({"The study's page": folder / "README.md", "What has changed": changes})


def publish(folder: Path) -> None:
    """Writes a study's results.csv, figures and page from its runs.zip."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch) / "runs"
        record = unpack_runs(folder / "runs.zip", runs)
        page = folder / "README.md"
        if not page.exists():
            title = record["question"] or folder.name
            page.write_text(f"# {title}\n\n<!-- figures {folder.name} -->\n<!-- end -->\n")
        study = Study.read([runs])
        report = read_report(study, Path(scratch) / "report")
        members = read_runs(study)
        write_results(members, folder / "results.csv")
        edges = measure_edges(study)
        pictures = draw_pictures(study, edges, folder)
        circumstances = [describe_circumstances(members, record["cells"])]
        if folder.name == PILOT:
            circumstances.append(describe_power(study.arms[0].seed_spread()))
        report["The answer"] = " ".join([report["The answer"], *describe_edges(study)])
        report["The answer"] += f" {claims.describe_details(study)}".rstrip()
        if edges is not None:
            table = tabulate_gaps(edges, EDGE_MEASURE)
            report["Differences at edges"] = f"{table.caption}.\n\n{table.markdown()}"
        parts = compose_page(record, report, runs, circumstances, pictures)
        replace_block(page, folder.name, parts)
        for front in (EXPERIMENTS / "README.md", FRONT_PAGE):
            # without its caption, which the text around it replaces
            table = report["Scores"].partition("\n\n")[2]
            replace_block(front, f"{folder.name} scores", [table, *circumstances])


def publish_overview(experiments: Path) -> None:
    """Writes the table of all claims, and the answer that opens the front page."""
    with tempfile.TemporaryDirectory() as scratch:
        studies = {}
        names = (*(claim.study for claim in claims.CLAIMS), *claims.ORDERED_STUDIES)
        for name in dict.fromkeys(names):
            archive = experiments / name / "runs.zip"
            if archive.exists():
                unpack_runs(archive, Path(scratch) / name)
                studies[name] = Study.read([Path(scratch) / name])
        table = claims.tabulate_claims(studies)
        replace_block(experiments / "README.md", "claims", [table])
        answers = {title: studies[name] for title, name in QUESTIONS.items() if name in studies}
        if answers:
            forests = {title: draw_forest(study) for title, study in answers.items()}
            sample = describe_sample(*answers.values())
            figures.draw_forests(forests, sample, experiments / "answer")
            picture = figures.picture_tag(
                "experiments/answer", "mean IoU of every arm, by question"
            )
            sentences = (
                " ".join([f"*{title}*", *describe_answer(study)[:2], *describe_edges(study)])
                for title, study in answers.items()
            )
            replace_block(FRONT_PAGE, "answer", [" ".join(sentences), picture])


def draw_pictures(study: Study, edges: Study | None, folder: Path) -> dict[str, str]:
    """Draws the study's figures into its folder; returns the tag that shows each, by its name.

    Args:
        study: the runs.
        edges: the same, compared at edges.
        folder: of the study's page.
    """
    forest = {"Mean IoU of every arm": draw_forest(study)}
    figures.draw_forests(forest, describe_sample(study), folder / "scores")
    alternatives = {"scores": "mean IoU of every arm with its interval"}
    measures = {"interaction": (study, "mean IoU"), "interaction_edges": (edges, EDGE_MEASURE)}
    for name, (compared_study, measure) in measures.items():
        if compared_study is None or not study.is_grid or len(study.factors) != 2:
            continue
        spec = draw_interaction(compared_study, *study.factors)
        title = f"{measure[0].upper()}{measure[1:]} by both choices: "
        title += "parallel lines would mean that they do not interact"
        figures.draw_interaction(spec, title, measure, folder / name)
        alternatives[name] = f"{measure} of every arm by both choices"
    if (spec := draw_learning(study)) is not None:
        figures.draw_curves(spec, "Mean IoU on val while training", folder / "curves")
        alternatives["curves"] = "mean IoU on val over epochs"
    return {name: figures.picture_tag(name, text) for name, text in alternatives.items()}


def measure_edges(study: Study) -> Study | None:
    """Returns the study with its arms compared at edges; None of one arm, or without counts."""
    if len(study.arms) < 2 or not has_boundaries(study):
        return None
    return replace(study, comparison=measure_arms(study, EDGE_MEASURE))


def describe_edges(study: Study) -> Iterator[str]:
    """Yields sentences on the arms that draw edges best, where edges are measured."""
    if (edges := measure_edges(study)) is None:
        return
    best_arm = edges.arms[0].name
    mean = edges.comparison.means[best_arm]
    yield (
        f"At edges {best_arm} leads, with a boundary F1 of {format_percent(mean.value)} % "
        f"{format_interval(mean)}. {describe_ties(edges)}"
    )


def describe_sample(*studies: Study) -> str:
    """Returns how many frames the studies scored, by the same protocol, and their seeds."""
    seeds = sorted({seed for study in studies for seed in study.seeds})
    frames = format_count(len(studies[0].first_run.names), "frame")
    return f"{frames}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def read_report(study: Study, folder: Path) -> dict[str, str]:
    """Returns the sections of a report on these runs, as Markdown by their titles."""
    write_report(study, folder)
    parts = re.split(r"^## (.+)\n", (folder / "report.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def read_runs(study: Study) -> list[dict[str, Any]]:
    """Returns each run's metrics.json and env.json, with its arm and folder."""
    return [
        {
            "folder": run.folder,
            "arm": arm.name,
            "env": json.loads((run.folder / "env.json").read_text()),
            **run.metrics,
        }
        for arm in study.arms
        for run in arm.runs
    ]


def compose_page(
    record: Mapping[str, Any],
    report: Mapping[str, str],
    runs: Path,
    circumstances: Iterable[str],
    pictures: Mapping[str, str],
) -> Iterator[str]:
    """Yields the parts of a study's page: commands, answer, figures, tables, circumstances."""
    if record["commands"]:
        yield "```bash\n" + "\n".join(record["commands"]) + "\n```"
    yield f"**Answer.** {report['The answer']}"
    for name in ("scores", "interaction", "interaction_edges"):
        if name in pictures:
            yield pictures[name]
    for name in (name for name in SECTIONS if name in report):
        yield f"### {name}"
        yield report[name]
    if any(runs.glob("*/gradients.csv")):
        yield "### Gradients"
        yield format_gradients(runs)
    if "curves" in pictures:
        yield "### Learning curves"
        yield pictures["curves"]
    yield "### How it was run"
    yield from circumstances
    yield report["How the numbers were made"]


def describe_power(spread: float, arms: int = 6) -> str:
    """Returns what differences some numbers of seeds show, if all arms spread like this one.

    The t test of two arms of a study, two-sided at 5 %, with power 80 %, the variance between seeds
    pooled over its arms. What the test frames leave open, and Holm's correction, come on top.

    Args:
        spread: the standard deviation of mean IoU between seeds, 0…1.
        arms: of the study; `skips` has six.
    """

    def find_difference(seeds: int) -> float:
        def excess(difference: float) -> float:
            freedom = (arms - 1) * (seeds - 1)
            gap = Estimate(difference, 0.0, 1.0, 2 * spread**2 / seeds, freedom)
            return compute_power(gap, seeds, seeds) - 0.8

        return float(brentq(excess, 1e-3 * spread, 20 * spread))

    texts = (f"{seeds} seeds {100 * find_difference(seeds):.1f}" for seeds in (3, 4, 6, 10))
    return (
        f"Trainings of this arm spread by {100 * spread:.2f} points of mean IoU on test. Were all "
        f"arms like it, two of the {arms} arms of a study, all of which tell the spread together, "
        "would be told apart four times in five, the spread of trainings alone considered, where "
        f"they differ by these points: {', '.join(texts)}."
    )


def describe_circumstances(members: Sequence[Mapping[str, Any]], cells: int | None) -> str:
    """Returns protocol, seeds, time, processors and commits; of one arm its size, too.

    Args:
        members: the runs.
        cells: how many the sweeps were to have; None where the runs are no sweep's.
    """

    def every(key: str) -> str:
        return ", ".join(dict.fromkeys(str(run[key]) for run in members))

    minutes = sum(run["seconds"] for run in members) / 60
    commits = ", ".join(dict.fromkeys(str(run["env"]["git_commit"])[:10] for run in members))
    count = f"{len(members)} runs" + (f" of {cells} asked for" if cells else "")
    places = Counter(describe_place(run["env"]) for run in members)
    machines = "; ".join(f"{runs} on {machine}" for machine, runs in places.items())
    text = (
        f"`{every('protocol')}`; seeds {every('seed')}; {count}, {minutes:.0f} minutes of training "
        f"in all: {machines}; commit {commits}."
    )
    sizes = {(run["params"], run["macs"]) for run in members}
    if len(sizes) > 1 or len({run["arm"] for run in members}) > 1:
        return text
    ((params, macs),) = sizes
    return f"{text} {params / 1e6:.2f} M parameters, {macs / 1e9:.2f} GMAC a frame."


def describe_place(env: Mapping[str, Any]) -> str:
    """Returns the device, processor, precision and torch of a run's env.json."""
    rounding = " (TF32)" * env.get("tf32", False)
    return (
        f"{env['device']} ({env['processor']}; threads: {env['threads']}), "
        f"{env['precision']}{rounding}; torch {env['versions']['torch']}"
    )


def write_results(members: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a row a run: arm, seed, protocol, the scores of each split, of each class, cost."""
    rows = [
        {
            "arm": run["arm"],
            "seed": run["seed"],
            "protocol": run["protocol"],
            **{
                f"{split}_{name}": run.get(split, {}).get(name)
                for split in ("val", "test")
                for name in SCORES
            },
            **{
                f"test_iou_{name}": value
                for name, value in run.get("test", {}).get("iou", {}).items()
            },
            **{name: run[name] for name in ("params", "macs", "seconds")},
        }
        for run in members
    ]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)


def replace_block(page: Path, name: str, parts: Iterable[str]) -> None:
    """Puts the parts between the marks of that name, where the page has them."""
    begin, end = f"<!-- figures {name} -->\n", "\n<!-- end -->"
    text = begin + "\n\n".join(parts) + end
    marks = f"{re.escape(begin)}.*?{re.escape(end.strip())}"
    page.write_text(re.sub(marks, lambda _: text, page.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
