"""audit.html: the findings first, then every table with the chart that belongs to it."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

from markupsafe import Markup
from PIL import Image

from fcn_lab.audit.audit import Audit
from fcn_lab.audit.findings import Finding, Level
from fcn_lab.audit.tables import sheets
from fcn_lab.data.frames import Pixels
from fcn_lab.rendering.html import SYMBOLS, TEMPLATES, Section, figure, render, table

PAIRS = 4
LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.02}


def page(audit: Audit, found: Sequence[Finding]) -> str:
    """The whole page."""
    wrong, careful = (
        sum(finding.level is level for finding in found) for level in (Level.WRONG, Level.CAREFUL)
    )
    lead = TEMPLATES.get_template("audit_lead.html").render(
        lines=audit.data.describe.splitlines(), wrong=wrong, careful=careful
    )
    body = TEMPLATES.get_template("audit_findings.html").render(findings=found)
    sections = [Section("Findings", Markup(body))]
    for sheet in sheets(audit):
        extra = EXTRAS.get(sheet.title)
        numbers = 2 if sheet.columns[1] == "split" else 1
        body = Markup("").join(
            [extra(audit) if extra else "", table(sheet.columns, sheet.rows, sheet.title, numbers)]
        )
        sections.append(Section(sheet.title, body, sheet.about))
    return render("Data audit", sections, Markup(lead))


def timeline(audit: Audit) -> Markup:
    """Every frame at its number, a line a drive."""
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [frame.number for frame in split.frames],
            "y": [frame.sequence or "unnamed" for frame in split.frames],
            "text": [frame.name for frame in split.frames],
            "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
            "marker": {"size": 8, "symbol": SYMBOLS[place], "opacity": 0.75},
        }
        for place, (name, split) in enumerate(audit.data.splits.items())
    ]
    layout = {
        "xaxis": {"title": {"text": "number in the frame's name"}},
        "yaxis": {"type": "category"},
        "legend": LEGEND,
    }
    lines = len({stretch.drive for stretch in audit.stretches})
    return figure(
        {"data": traces, "layout": layout},
        "Where each split's frames lie in their drives",
        height=150 + 45 * min(lines, 12),
    )


def shares(audit: Audit) -> Markup:
    """Every class's share of the pixels, a bar a split."""
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": list(audit.data.classes),
            # a logarithm has no place for nothing
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
    return figure({"data": traces, "layout": layout}, "Share of every class, logarithmic")


def pairs(audit: Audit) -> Markup:
    """The pictures of each split that look most like a training picture, beside it."""
    train = audit.data.splits.get("train")
    shown = []
    for name, split in audit.data.others:
        met: set[int] = set()
        for here, there, difference in audit.closest.get(name, []):
            if train is None or there in met or len(met) == PAIRS:
                continue
            met.add(there)
            sides = ((split, here, name), (train, there, "train"))
            shown.append(
                {
                    "difference": difference,
                    "sides": [
                        (part.frames[i].name, which, picture(part.previews[i]))
                        for part, i, which in sides
                    ],
                }
            )
    return Markup(TEMPLATES.get_template("audit_pairs.html").render(pairs=shown))


def picture(pixels: Pixels) -> str:
    """As a JPEG inside the page."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"


EXTRAS: Mapping[str, Callable[[Audit], Markup]] = {
    "Drives": timeline,
    "Classes": shares,
    "Leakage": pairs,
}
