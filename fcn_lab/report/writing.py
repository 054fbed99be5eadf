"""Writes the report as one HTML page that works from disk, as Markdown, and as CSV."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fcn_lab.files import make_folder, write_texts
from fcn_lab.rendering import html as page
from fcn_lab.rendering.html import TEMPLATES, Section, render_figure, render_paragraphs
from fcn_lab.report import charts, heatmaps, tables
from fcn_lab.report.answer import describe_answer, describe_method, describe_question
from fcn_lab.report.arms import TITLES, format_factor
from fcn_lab.report.frames import ARMS_SHOWN, build_gallery
from fcn_lab.report.recipe import tabulate_differing_recipes, tabulate_recipe
from fcn_lab.report.study import Study
from fcn_lab.text.escaping import markdown_text, script_json
from fcn_lab.text.terminal import format_count

ADVICE = "output= chooses another folder"
TRAINED_LEAD = (
    "Of each setting the values that it has among the runs; what was varied stands above."
)
# the height of an arm's row in a chart, in pixels
ROW = 26
# the width that a heat map needs for its numbers, in pixels
HEATMAP_WIDTH = 680


def write_report(study: Study, folder: Path) -> list[Path]:
    """Writes report.html and .md, arms.tex, arms.csv and differences.csv; returns their paths."""
    make_folder(folder, ADVICE)
    texts = {
        "report.html": format_html(study),
        "report.md": format_markdown(study),
        "arms.tex": tables.tabulate_arms(study).latex(),
        "arms.csv": tables.tabulate_raw(study).csv(),
        "differences.csv": tables.tabulate_raw_gaps(study).csv(),
    }
    write_texts(folder, texts, ADVICE)
    return [folder / name for name in texts]


def format_html(study: Study) -> str:
    """Returns the page, with its scripts and styles in it."""
    script = TEMPLATES.get_template("report.js").render()
    return page.render_page(format_heading(study), list_sections(study), script=script)


def format_heading(study: Study) -> str:
    """Returns the title of the report: the study's question, or what was varied."""
    if study.question:
        return study.question
    subject = " and ".join(map(format_factor, study.factors)) or study.arms[0].name
    # words of the command line, such as fcn8s and optim.lr, keep their small letters
    if next(iter(study.factors), "") in TITLES:
        subject = f"{subject[0].upper()}{subject[1:]}"
    return f"{subject}: what the runs show"


def format_markdown(study: Study) -> str:
    """Returns the report as text and tables in Markdown."""
    has_pairs = len(study.arms) > 1
    parts = [
        f"# {markdown_text(format_heading(study))}",
        *map(markdown_text, describe_question(study)),
        "## The answer",
        markdown_text(" ".join(describe_answer(study))),
        "## Scores",
        *_write_table(tables.tabulate_arms(study)),
        *(("## Differences", *_write_table(tables.tabulate_gaps(study))) if has_pairs else ()),
        "## Classes",
        *_write_table(tables.tabulate_classes(study)),
        *(("## Missing", tables.tabulate_missing(study).markdown()) if study.missing_cells else ()),
        "## How the runs were trained",
        tabulate_recipe(study).markdown(),
        *(_write_table(recipes) if (recipes := tabulate_differing_recipes(study)) else ()),
        "## How the numbers were made",
        *map(markdown_text, describe_method(study)),
    ]
    return "\n\n".join(parts) + "\n"


def _write_table(table: tables.Table) -> tuple[str, str]:
    return f"{markdown_text(table.caption)}.", table.markdown()


def list_sections(study: Study) -> Iterator[Section]:
    """Yields the sections of the page, in their order."""
    yield Section("What was asked", render_paragraphs(*describe_question(study)))
    answer = render_paragraphs(" ".join(describe_answer(study)))
    yield Section("The answer", Markup('<div class="answer">{}</div>').format(answer))
    yield Section("Scores", _render_scores(study))
    if study.is_grid and len(study.factors) > 1:
        yield Section(
            "Effects", _render_effects(study), "Means over all else, and how factors interact."
        )
    if len(study.arms) > 1:
        yield Section("Differences", _render_differences(study))
    yield Section("Classes", _render_classes(study))
    yield from _write_edges(study)
    yield from _write_training(study)
    yield Section("Confusion", _render_confusion(study))
    gallery = build_gallery(study)
    yield Section("Frames side by side", _render_frames(gallery), _describe_frames(study, gallery))
    if study.missing_cells:
        table = tables.tabulate_missing(study).html()
        yield Section("Missing", table, "These cells were asked for and have no scores.")
    yield Section("How the runs were trained", _render_recipes(study), TRAINED_LEAD)
    yield Section("How the numbers were made", render_paragraphs(*describe_method(study)))


def render_scores(study: Study) -> Markup:
    """Returns the chart of all arms with their intervals."""
    caption = "Mean IoU of every arm with its 95 % interval over blocks of frames and seeds."
    return render_figure(charts.draw_forest(study), caption, 110 + ROW * len(study.arms))


def _render_scores(study: Study) -> Markup:
    table = tables.tabulate_arms(study).html()
    note = render_paragraphs(
        "A rank from–to names the places that the corrected differences leave open. sd seeds: "
        "standard deviation between seeds, in points. bF1: boundary F1."
    )
    return render_scores(study) + table + note


def _render_effects(study: Study) -> Markup:
    body = Markup()
    for factor in study.factors:
        caption = (
            f"Mean IoU by {format_factor(factor)}, averaged over all else, with 95 % intervals."
        )
        body += render_figure(charts.draw_effect(study, factor), caption, 340)
    for x_factor, line_factor in permutations(list(study.factors)[:2], 2):
        caption = (
            f"A line for each of the {format_factor(line_factor)}, along the "
            f"{format_factor(x_factor)}: parallel lines would mean that the two do not interact."
        )
        body += render_figure(charts.draw_interaction(study, x_factor, line_factor), caption)
    return body


def _render_differences(study: Study) -> Markup:
    caption = (
        "Row less column in points of mean IoU. A dot marks pairs that differ after Holm's "
        "correction; pairs without one are not distinguishable."
    )
    chart = render_figure(
        heatmaps.draw_pairs(study), caption, 220 + ROW * len(study.arms), HEATMAP_WIDTH
    )
    details = Markup("<details><summary>{} as a table</summary>{}</details>")
    table = tables.tabulate_gaps(study)
    return chart + details.format(format_count(len(table.rows), "pair"), table.html())


def _render_classes(study: Study) -> Markup:
    table = tables.tabulate_classes(study).html()
    if len(study.arms) == 1:
        return table
    caption = "IoU in % of every class; the colour is the distance from the mean of all arms."
    chart = render_figure(
        heatmaps.draw_classes(study), caption, 200 + ROW * len(study.arms), HEATMAP_WIDTH
    )
    return chart + table


def _write_edges(study: Study) -> Iterator[Section]:
    bands = charts.draw_trimaps(study)
    if bands is not None:
        caption = "Mean IoU of the pixels within a band along the truth's boundaries."
        table = tables.tabulate_edges(study).html()
        yield Section("Edges", render_figure(bands, caption, 520) + table)


def _write_training(study: Study) -> Iterator[Section]:
    if (curves := charts.draw_learning(study)) is not None:
        caption = "Mean IoU on val after each epoch, the mean over seeds."
        yield Section("Learning", render_figure(curves, caption, 520))
    costs = (("macs", "GMAC a frame", 1e9), ("params", "million parameters", 1e6))
    body = Markup()
    for key, label, unit in (*costs, ("seconds", "minutes of training", 60)):
        caption = f"Mean IoU with its 95 % interval against {label}."
        if (spec := charts.draw_cost(study, key, label, unit)) is None:
            continue
        # the first chart's legend is that of all charts
        spec["layout"]["showlegend"] = not body
        body += render_figure(spec, caption, 360 if body else 480)
    if body:
        yield Section("Score against cost", body)
    if (gap := charts.draw_generalisation(study)) is not None:
        caption = f"Mean IoU on val and on {study.first_run.split}: the line is what is lost."
        height = 140 + ROW * len(study.arms)
        yield Section(f"From val to {study.first_run.split}", render_figure(gap, caption, height))


def _render_confusion(study: Study) -> Markup:
    specs = {arm.name: heatmaps.draw_confusion(study, arm) for arm in study.arms}
    best_arm = study.arms[0].name
    captions = {
        name: f"What each class was taken for by {name}, in % of its pixels; summed over seeds."
        for name in specs
    }
    values = [spec["data"][0]["z"] for spec in specs.values()]
    chart = render_figure(specs[best_arm], captions[best_arm], 620, HEATMAP_WIDTH)
    template = TEMPLATES.get_template("confusion.html")
    return Markup(template.render(values=_embed_json(values), captions=captions, chart=chart))


def _describe_frames(study: Study, gallery: Mapping[str, Any] | None) -> str:
    lead = "Where the arms differ most comes first."
    count = len(gallery["frames"][0]["arms"]) if gallery and gallery["frames"] else 0
    if not 0 < count < len(study.arms):
        return lead
    return (
        f"{lead} Of {len(study.arms)} arms {count} are shown: {ARMS_SHOWN} at most, and of these "
        "those that kept their predictions."
    )


def _render_frames(gallery: Mapping[str, Any] | None) -> Markup:
    if gallery is None:
        return Markup('<p class="note">{}</p>').format(
            "None of these runs kept its predictions (predictions.zip). Runs scored by this "
            "version do: task=evaluate run=RUN_DIR scores an older one again."
        )
    left_out = Markup().join(
        Markup('<p class="note">left out: {}</p>').format(line) for line in gallery["damaged"]
    )
    if not gallery["frames"]:
        return left_out
    template = TEMPLATES.get_template("gallery.html")
    return left_out + Markup(template.render(gallery=_embed_json(gallery), **gallery))


def _render_recipes(study: Study) -> Markup:
    recipes = tabulate_differing_recipes(study)
    return tabulate_recipe(study).html() + (recipes.html() if recipes else Markup())


def _embed_json(content: object) -> Markup:
    return Markup(script_json(content))
