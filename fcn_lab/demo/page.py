"""The page itself: gradio's components, and what happens when they are used."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import gradio as gr
from fastapi import FastAPI
from markupsafe import Markup

from fcn_lab.demo import tiles
from fcn_lab.demo.networks import SHOWN_NETWORKS_LIMIT, Networks
from fcn_lab.demo.views import Scene, open_picture
from fcn_lab.errors import UserError
from fcn_lab.rendering.html import TEMPLATES
from fcn_lab.report.runs import MissingRun

OPACITY = 0.6
# the machine's own fonts, as on the lab's other pages
FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "DejaVu Sans", "sans-serif"]
THEME = gr.themes.Base(font=FONTS, font_mono=["ui-monospace", "DejaVu Sans Mono", "monospace"])
LOAD_ERRORS = (UserError, OSError, RuntimeError, UnpicklingError, EOFError, LookupError, TypeError)
# browsers whose picture and labels stay in memory, some hundred megabytes each at the most
SESSIONS_KEPT = 16
TITLE = "The same picture through several networks"

# the scene, the HTML that shows it, and what went wrong
Answer = tuple[Scene, str, str]


class Panel:
    """The actions behind the page's controls.

    Args:
        networks: the networks to choose from.
        megabytes: the most megabytes of a file.
        megapixels: the most millions of pixels of a picture.
        forget: is called with a file once it has been read.
    """

    def __init__(
        self,
        networks: Networks,
        megabytes: float,
        megapixels: float,
        forget: Callable[[Path], object] = lambda path: None,
    ) -> None:
        self.networks, self.scenes = networks, networks.load_scenes()
        self.megabytes, self.megapixels, self.forget = megabytes, megapixels, forget

    def open_file(
        self, path: str | None, scene_before: Scene, labels: list[str], *opacity: float
    ) -> Iterator[Answer]:
        """Shows a file that was dropped; if it is no picture, the earlier scene stays."""
        scene = scene_before
        if path is not None:
            try:
                image = open_picture(Path(path), self.megabytes, self.megapixels)
            except UserError as error:
                yield self._show_scene(scene_before, opacity, str(error))
                return
            finally:
                self.forget(Path(path))
            scene = Scene(Path(path).name, image)
        yield from self.ask_networks(scene, labels, *opacity)

    def pick_example(
        self, event: gr.SelectData, labels: list[str], *opacity: float
    ) -> Iterator[Answer]:
        """Shows the example that was clicked."""
        # a call may hold any number
        index = event.index if event.index in range(len(self.scenes)) else 0
        yield from self.ask_networks(self.scenes[index], labels, *opacity)

    def ask_networks(self, scene: Scene, labels: list[str], *opacity: float) -> Iterator[Answer]:
        """Runs these networks, each once per scene, and shows each as soon as it is done."""
        shown_labels = labels[:SHOWN_NETWORKS_LIMIT]
        views = {label: scene.views[label] for label in shown_labels if label in scene.views}
        troubles = [] if labels else ["Choose a network."]

        def show(status: str = "") -> Answer:
            views_in_order = {label: views[label] for label in shown_labels if label in views}
            return self._show_scene(
                replace(scene, views=views_in_order), opacity, "\n".join(troubles), status
            )

        labels_to_ask = [label for label in shown_labels if label not in views]
        height, width = scene.image.shape[:2]
        for number, label in enumerate(labels_to_ask, 1):
            progress = f" ({number} of {len(labels_to_ask)})"
            yield show(f"{label} labels {scene.name}, {width}×{height} pixels{progress} …")
            try:
                views[label] = self.networks.ask(label, scene.image)
            except LOAD_ERRORS as error:
                troubles.append(f"{label}: {error}")
        yield show()

    def redraw(self, scene: Scene, *opacity: float) -> str:
        """Returns the scene's HTML.

        The first opacity scales those of all classes, the others belong to one class each.
        """
        if not scene.views:
            return ""
        networks = self.networks
        shares = [opacity[0] * share for share in opacity[1:]]
        palette = networks.predictor(next(iter(scene.views))).palette
        return tiles.render(scene, networks.classes, palette, shares, networks.records)

    def _show_scene(
        self, scene: Scene, opacity: Sequence[float], error: str, status: str = ""
    ) -> Answer:
        error_line = Markup('<p class="trouble" role="alert">{}</p>').format(error) if error else ""
        status_line = Markup('<p role="status">{}</p>').format(status) if status else ""
        return scene, self.redraw(scene, *opacity), f"{error_line}{status_line}"


def build_page(panel: Panel) -> gr.Blocks:
    """Builds the page's components and connects them to the panel."""
    networks, scenes = panel.networks, panel.scenes
    labels = list(networks.runs)
    limit = f"A picture of your own, up to {panel.megabytes:g} MB"
    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        gr.Markdown(f"# {TITLE}\nNothing leaves the machine that serves this page.")
        if networks.damages:
            gr.HTML(list_damaged(networks.damages), padding=False)
        with gr.Row():
            file = gr.File(label=limit, type="filepath", height=150, scale=1)
            gallery = _create_gallery(scenes)
        dropdown = gr.Dropdown(
            labels,
            value=networks.choose_defaults(),
            multiselect=True,
            max_choices=SHOWN_NETWORKS_LIMIT,
            label=f"Networks, up to {SHOWN_NETWORKS_LIMIT}",
        )
        opacity = [gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity of the classes")]
        with gr.Accordion("Opacity of each class", open=False), gr.Row(elem_id="classes"):
            opacity += [
                gr.Slider(0, 1, 1, step=0.05, label=name, elem_id=f"class-{label}", min_width=200)
                for label, name in enumerate(networks.classes)
            ]
        messages, answer_html = gr.HTML(padding=False), gr.HTML(elem_id="shown", padding=False)
        scene = gr.State(scenes[0])
        answer, settings = [scene, answer_html, messages], [dropdown, *opacity]
        _connect(page.load, panel.ask_networks, [scene, *settings], answer)
        _connect(file.change, panel.open_file, [file, scene, *settings], answer)
        _connect(gallery.select, panel.pick_example, settings, answer)
        _connect(dropdown.change, panel.ask_networks, [scene, *settings], answer)
        for slider in opacity:
            _connect(slider.change, panel.redraw, [scene, *opacity], [answer_html])
    return page


def _create_gallery(scenes: Sequence[Scene]) -> gr.Gallery:
    return gr.Gallery(
        [scene.image for scene in scenes],
        label="Examples",
        columns=len(scenes),
        height=150,
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        scale=2,
        elem_id="examples",
    )


def list_damaged(damages: Sequence[MissingRun]) -> str:
    """Returns HTML lines about the runs that cannot be read."""
    line = Markup('<p class="trouble">left out: {}: {}</p>')
    return "".join(line.format(damage.name, damage.reason) for damage in damages)


def mount_page(panel: Panel) -> FastAPI:
    """Returns the page as an application that a server can run."""
    page = build_page(panel)
    page.state_session_capacity = SESSIONS_KEPT
    application: FastAPI = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        path="/",
        max_file_size=int(panel.megabytes * 1e6),
        footer_links=[],
        ssr_mode=False,
        theme=THEME,
        css=TEMPLATES.get_template("demo.css").render(),
    )
    # which gradio only notes where it serves by itself; without it, it checks no file's path
    page.has_launched = True
    return application


def _connect(
    event: Callable[..., Any],
    listener: Callable[..., Any],
    inputs: Sequence[gr.components.Component],
    outputs: Sequence[gr.components.Component],
) -> None:
    # one at a time: networks side by side would spoil each other's times
    settings = {"concurrency_limit": 1, "concurrency_id": "networks", "trigger_mode": "always_last"}
    event(listener, list(inputs), list(outputs), api_visibility="private", **settings)
