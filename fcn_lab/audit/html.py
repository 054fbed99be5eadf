"""Writes audit.html: the findings first, then every table with its chart."""

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.finding import Finding, Level
from fcn_lab.audit.gallery import render_legend, show_classes, show_evidence, show_rarest
from fcn_lab.audit.tables import build_tables
from fcn_lab.pixels import Pixels
from fcn_lab.rendering.embedding import EmbeddedPicture
from fcn_lab.rendering.html import (
    SYMBOLS,
    TEMPLATES,
    Section,
    render_figure,
    render_page,
    render_table,
)

PAIRS_SHOWN = 4
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.02}


def render_audit(audit: Audit, findings: Sequence[Finding]) -> str:
    """Returns the page with the findings and all tables of an audit."""
    wrong_count, careful_count = (
        sum(finding.level is level for finding in findings)
        for level in (Level.WRONG, Level.CAREFUL)
    )
    lead = TEMPLATES.get_template("audit_lead.html").render(
        lines=audit.data.describe.splitlines(), wrong=wrong_count, careful=careful_count
    )
    finding_figures = zip(findings, show_evidence(audit, findings), strict=True)
    body = TEMPLATES.get_template("audit_findings.html").render(findings=list(finding_figures))
    frames = [frame for finding in findings for frame in finding.frames]
    mark_names = ["marked"] if any(frame.marked for frame in frames) else []
    legend = render_legend(audit, mark_names) if frames else ""
    sections = [Section("Findings", Markup(body) + legend)]
    for table in build_tables(audit):
        extra = CHARTS.get(table.title)
        numbers = 2 if table.columns[1] == "split" else 1
        body = Markup("").join(
            [
                extra(audit) if extra else "",
                render_table(table.columns, table.rows, table.title, numbers),
            ]
        )
        sections.append(Section(table.title, body, table.lead))
        if table.title == "Classes":
            sections += filter(None, (show_classes(audit), show_rarest(audit)))
    return render_page("Data audit", sections, Markup(lead))


def draw_timeline(audit: Audit) -> Markup:
    """Draws every frame at its number, one line for each drive."""
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [frame.number for frame in split.frames],
            "y": [frame.sequence or "unnamed" for frame in split.frames],
            "text": [frame.name for frame in split.frames],
            "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            "marker": {"size": 8, "symbol": SYMBOLS[index], "opacity": 0.75},
        }
        for index, (name, split) in enumerate(audit.data.splits.items())
    ]
    layout = {
        "xaxis": {"title": {"text": "number in the frame's name"}},
        "yaxis": {"type": "category"},
        "legend": LEGEND,
    }
    lines = len({span.drive for span in audit.drive_spans})
    return render_figure(
        {"data": traces, "layout": layout},
        "Where each split's frames lie in their drives",
        height=150 + 45 * min(lines, 12),
    )


def draw_shares(audit: Audit) -> Markup:
    """Draws every class's share of the pixels, one bar for each split."""
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": list(audit.data.classes),
            # a logarithmic axis has no place for zero
            "y": [100 * float(share) or None for share in audit.shares(split)],
            "hovertemplate": "%{x} %{y:.2f} %<extra>%{fullData.name}</extra>",
        }
        for name, split in audit.data.splits.items()
        if split.frames
    ]
    layout = {
        "barmode": "group",
        "yaxis": {"type": "log", "title": {"text": "% of the pixels"}, "dtick": 1},
        "legend": LEGEND,
    }
    return render_figure({"data": traces, "layout": layout}, "Share of every class, logarithmic")


def draw_pairs(audit: Audit) -> Markup:
    """Shows the pictures of each split that look most like a training picture, beside it."""
    train = audit.data.splits.get("train")
    pairs = []
    for name, split in audit.data.scored_splits:
        train_indices: set[int] = set()
        for index, train_index, difference in audit.closest_frames.get(name, []):
            if train is None or train_index in train_indices or len(train_indices) == PAIRS_SHOWN:
                continue
            train_indices.add(train_index)
            sides = ((split, index, name), (train, train_index, "train"))
            pairs.append(
                {
                    "difference": difference,
                    "sides": [
                        (part.frames[i].name, split_name, _embed_preview(part.previews[i]))
                        for part, i, split_name in sides
                    ],
                }
            )
    return Markup(TEMPLATES.get_template("audit_pairs.html").render(pairs=pairs))


def _embed_preview(pixels: Pixels) -> str:
    return EmbeddedPicture.encode(pixels, "", "jpeg", quality=85).source


CHARTS: Mapping[str, Callable[[Audit], Markup]] = {
    "Drives": draw_timeline,
    "Classes": draw_shares,
    "Leakage": draw_pairs,
}
