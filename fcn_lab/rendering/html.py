"""One HTML page that works from disk: text, tables and charts, with nothing to fetch.

Charts are plotly's figures as plain data (``{"data": [...], "layout": {...}}``). Its script is put
into the page once; colours, fonts and the dark theme are the page's own (templates/page.css, .js).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fcn_lab.text.escaping import plotly_text, script_json

# Okabe and Ito's colours, told apart by colour-blind eyes; their yellow is too light on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C3E", "#6B6B6B")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "hexagon")
FILLS = ("", "-open", "-open-dot")
# keys of a trace whose values may come from users
_WORDS = frozenset({"name", "text", "x", "y", "customdata"})
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Section:
    """A part of the page that has an entry in the table of contents.

    Args:
        title: its heading.
        body: its HTML; a plain string is shown as text.
        lead: a sentence or two below the heading.
    """

    title: str
    body: str
    lead: str = ""

    @property
    def anchor(self) -> str:
        """Returns the fragment that a link to the section ends with."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def pick_symbol(place: int) -> str:
    """Returns the marker of a value by its place among others: filled, then empty ones."""
    return SYMBOLS[place % len(SYMBOLS)] + FILLS[place // len(SYMBOLS) % len(FILLS)]


def render_page(title: str, sections: Iterable[Section], lead: str = "", script: str = "") -> str:
    """Returns one HTML page that works from disk and fetches nothing.

    Args:
        title: the page's title.
        sections: the page's sections, in their order.
        lead: what stands below the title.
        script: JavaScript of this page alone, run after the page's own.
    """
    plotly = files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    return TEMPLATES.get_template("page.html").render(
        title=title,
        lead=lead,
        sections=list(sections),
        plotly=Markup(plotly),
        colours=Markup(script_json(COLOURS)),
        own_script=Markup(script),
    )


def render_figure(
    spec: Mapping[str, object], caption: str, height: int = 420, least_width: int = 0
) -> Markup:
    """Returns the HTML of a plotly chart.

    Args:
        spec: plotly's ``data`` and ``layout`` as plain numbers, words, lists and mappings; the
            words of `_WORDS` in ``data`` are shown as they are, whatever markup they look like;
            those of the layout are plotly's markup.
        caption: what it shows; screen readers read it in place of the chart.
        height: the chart's height in pixels.
        least_width: the least width in pixels; on a narrower screen the chart scrolls.
    """
    traces = spec["data"]
    assert isinstance(traces, Sequence)
    escaped_traces = [
        {key: _escape_words(value) if key in _WORDS else value for key, value in trace.items()}
        for trace in traces
    ]
    content = script_json({**spec, "data": escaped_traces})
    style = f"height:{height}px;min-width:{least_width}px"
    template = TEMPLATES.get_template("figure.html")
    return Markup(template.render(content=Markup(content), caption=caption, style=style))


def _escape_words(words: object) -> object:
    if isinstance(words, str):
        return plotly_text(words)
    return list(map(_escape_words, words)) if isinstance(words, list | tuple) else words


def render_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str, numbers: int = 1
) -> Markup:
    """Returns an HTML table whose first column names the rows.

    Args:
        columns: headings.
        rows: cells; None is shown as a dash, Markup as it is.
        caption: what it shows.
        numbers: the first column, counted from 0, that is set flush right.
    """
    template = TEMPLATES.get_template("table.html")
    return Markup(
        template.render(columns=columns, rows=list(rows), caption=caption, numbers=numbers)
    )


def render_paragraphs(*texts: str) -> Markup:
    """Returns one HTML paragraph for each text that is not empty."""
    return Markup("").join(Markup("<p>{}</p>\n").format(text) for text in texts if text)
