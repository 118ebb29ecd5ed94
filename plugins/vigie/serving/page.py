"""The Gradio page: one form per model, prediction, feedback, and the endpoint ``/logs_api``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gradio as gr

from vigie.api_log.line import render
from vigie.errors import VigieError
from vigie.serving.actions import Actions, fragments
from vigie.serving.form import ModelForm

if TYPE_CHECKING:
    from fastapi import FastAPI

    from vigie.roles import PredictionStore
    from vigie.serving.api_key import ApiKey
    from vigie.serving.service import Serving

T = TypeVar("T")
CSS = Path(__file__).with_name("static") / "page.css"
PRIVATE = "private"  # the events of the page are not part of the API
MAX_LINES = 1000
_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")
_STYLE = {
    "body_background_fill": "#f6f8f9",
    "body_background_fill_dark": "#0d1417",
    "block_background_fill": "#ffffff",
    "block_background_fill_dark": "#141d21",
    "block_border_width": "1px",
    "block_label_text_weight": "500",
    "block_label_text_color": "*neutral_700",
    "block_info_text_color": "*neutral_500",
    "button_primary_background_fill": "#0f5f63",
    "button_primary_background_fill_hover": "#0b4a4e",
    "button_primary_background_fill_dark": "#0f766e",
    "button_primary_background_fill_hover_dark": "#115e59",
    "button_primary_text_color": "#ffffff",
    "button_large_radius": "8px",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#0f171a",
    "input_border_width": "1px",
    "input_border_color": "#b9c6cb",
    "input_border_color_dark": "#37474e",
    "input_border_color_focus": "#0f5f63",
}


def mount_page(app: FastAPI, serving: Serving, guard: ApiKey, path: str) -> None:
    """Mount the page below ``path``; the page opens no port and makes no request to other hosts."""
    in_loop(lambda: _mount(app, serving, guard, path))


def _mount(app: FastAPI, serving: Serving, guard: ApiKey, path: str) -> None:
    gr.mount_gradio_app(
        app,
        build_page(serving, guard),
        path=path,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        enable_monitoring=False,
        show_error=False,  # a VigieError is shown as a card; other errors are only logged
        mcp_server=False,
        pwa=False,
        theme=_theme(),
        css_paths=[CSS],
    )


def in_loop(call: Callable[[], T]) -> T:
    """Call a function inside a running event loop.

    Without a running loop, Gradio opens several loops and closes none.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def run() -> T:
            return call()

        return asyncio.run(run())
    return call()


def build_page(serving: Serving, guard: ApiKey) -> gr.Blocks:
    """Return the page; it reads no predictions or tables until a browser opens it."""
    with gr.Blocks(title="vigie", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(str(fragments.header()), padding=False)
        _Page(serving, guard).draw(page)
        _log_endpoint(serving)
    page.queue(default_concurrency_limit=8)
    return page


def _log_endpoint(serving: Serving) -> None:
    def logs_api(limit: int = 100, offset: int = 0) -> dict[str, object]:
        """Return up to ``limit`` API log lines, starting at ``offset``."""
        try:
            return log_page(serving.services.predictions, limit, offset)
        except VigieError as exc:
            raise gr.Error(str(exc)) from exc

    gr.api(logs_api, api_name="logs_api")


def log_page(predictions: PredictionStore, limit: int, offset: int) -> dict[str, Any]:
    """Return up to ``limit`` API log lines from ``offset`` on, rendered from stored predictions.

    ``lines[i]`` has offset ``offset + i``; the next call continues at ``next_offset``. At most 1000
    lines are returned.
    """
    start = max(int(offset), 0)
    events = predictions.page(start, min(max(int(limit), 1), MAX_LINES))
    return {
        "lines": [render(event.prediction) for event in events],
        "offset": start,
        "next_offset": events[-1].offset + 1 if events else start,
        "total": predictions.count(),
    }


class _Page:
    """The components of one page and their events."""

    def __init__(self, serving: Serving, guard: ApiKey) -> None:
        data_dir = serving.services.paths.data
        self.forms = [ModelForm(model, data_dir) for model in serving.models.values()]
        self.actions = Actions(serving, guard, self.forms)
        self.guard = guard

    def draw(self, page: gr.Blocks) -> None:
        """Lay out the components, then connect their events."""
        with gr.Row(equal_height=False, elem_classes="desk"):
            with gr.Column(scale=3, min_width=360):
                self._draw_chooser()
                buttons = [self._draw_form(form) for form in self.forms]
            with gr.Column(scale=2, min_width=320):
                self._draw_answer()
        gr.HTML(str(fragments.history_heading()), padding=False)
        self.history = gr.HTML(padding=False)
        for form, (panel_example, panel_run) in zip(self.forms, buttons, strict=True):
            self._connect(form, panel_example, panel_run)
        self._connect_page(page)

    def _draw_chooser(self) -> None:
        choices = [(form.model.title, form.model.name) for form in self.forms]
        self.model = gr.Dropdown(choices, label="Model", interactive=True, filterable=False)
        self.version = gr.HTML(padding=False)
        self.key = gr.Textbox(
            label="API key", type="password", visible=self.guard.required, max_lines=1
        )
        self.panels: list[gr.Column] = []
        self.notes: list[gr.HTML] = []

    def _draw_form(self, form: ModelForm) -> tuple[gr.Button, gr.Button]:
        with gr.Column(visible=False, elem_id=f"form-{form.model.name}") as panel:
            form.draw()
            self.notes.append(gr.HTML(padding=False))
            with gr.Row(elem_classes="actions"):
                example = gr.Button("Load an example", variant="secondary")
                run = gr.Button("Run Analysis", variant="primary")
        self.panels.append(panel)
        return example, run

    def _draw_answer(self) -> None:
        self.place = gr.State(0)
        self.transaction = gr.State("")
        self.result = gr.HTML(str(fragments.waiting()), padding=False)
        with gr.Group(elem_classes="feedback"):
            self.actual = gr.Radio([], label="Actual outcome", interactive=False, elem_id="actual")
            self.submit = gr.Button("Submit feedback", interactive=False)
        self.receipt = gr.HTML(padding=False)

    def _connect(self, form: ModelForm, example: gr.Button, run: gr.Button) -> None:
        note = self.notes[self.forms.index(form)]
        example.click(
            lambda place: self.actions.example(form, place + 1),
            self.place,
            [self.place, note, *form.inputs],
            api_visibility=PRIVATE,
        )
        run.click(
            lambda key, *values: self.actions.run(form, key, values),
            [self.key, *form.inputs],
            [self.result, self.transaction, self.actual, self.submit, self.receipt, self.version],
            api_visibility=PRIVATE,
        ).then(self.actions.history, None, self.history, api_visibility=PRIVATE)

    def _connect_page(self, page: gr.Blocks) -> None:
        shown = [self.model, self.version, *self.panels]
        filled = [item for form in self.forms for item in form.inputs]
        page.load(self.actions.open, None, shown, api_visibility=PRIVATE).then(
            self.actions.history, None, self.history, api_visibility=PRIVATE
        ).then(self.actions.fill, None, [*self.notes, *filled], api_visibility=PRIVATE)
        self.model.input(
            self.actions.choose, self.model, [self.version, *self.panels], api_visibility=PRIVATE
        )
        self.submit.click(
            self.actions.feedback,
            [self.key, self.transaction, self.actual],
            self.receipt,
            api_visibility=PRIVATE,
        ).then(self.actions.history, None, self.history, api_visibility=PRIVATE)


def _theme() -> Any:
    """Return the Gradio theme; ``static/page.css`` has the other styles. No font is downloaded."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=_FONT,
        font_mono=_MONO,
    )
    return theme.set(**_STYLE)
