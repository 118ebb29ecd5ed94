"""The Gradio page: a form a model, its answer, feedback, and the endpoint ``/logs_api``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import gradio as gr

from vigie.errors import VigieError
from vigie.serving import fragments
from vigie.serving.actions import Actions
from vigie.serving.form import ModelForm
from vigie.serving.log_pages import log_page
from vigie.serving.theme import theme

if TYPE_CHECKING:
    from fastapi import FastAPI

    from vigie.serving.api_key import ApiKey
    from vigie.serving.service import Serving

T = TypeVar("T")
CSS = Path(__file__).with_name("static") / "page.css"
PRIVATE = "private"  # events of the page are not an API


def mount_page(app: FastAPI, serving: Serving, guard: ApiKey, path: str) -> None:
    """Mount the page below ``path``; it opens no port and calls nobody outside."""
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
        show_error=False,  # of ours every one is a card; others are told to the log alone
        mcp_server=False,
        pwa=False,
        theme=theme(),
        css_paths=[CSS],
    )


def in_loop(call: Callable[[], T]) -> T:
    """Call inside a running event loop: outside, Gradio opens several and closes none."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def run() -> T:
            return call()

        return asyncio.run(run())
    return call()


def build_page(serving: Serving, guard: ApiKey) -> gr.Blocks:
    """Return the page over the service; nothing is read from it before somebody opens the page."""
    with gr.Blocks(title="vigie", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(fragments.header(), padding=False)
        _Page(serving, guard).draw(page)
        _log_endpoint(serving)
    page.queue(default_concurrency_limit=8)
    return page


def _log_endpoint(serving: Serving) -> None:
    def logs_api(limit: int = 100, offset: int = 0) -> dict[str, object]:
        """Return API log lines from a log offset on."""
        try:
            return log_page(serving.services.predictions, limit, offset)
        except VigieError as exc:
            raise gr.Error(str(exc)) from exc

    gr.api(logs_api, api_name="logs_api")


class _Page:
    """The components of one page, and what connects them."""

    def __init__(self, serving: Serving, guard: ApiKey) -> None:
        data_dir = serving.services.paths.data
        self.forms = [ModelForm(model, data_dir) for model in serving.models.values()]
        self.actions = Actions(serving, guard, self.forms)
        self.guard = guard

    def draw(self, page: gr.Blocks) -> None:
        """Lay the page out, then connect it."""
        with gr.Row(equal_height=False, elem_classes="desk"):
            with gr.Column(scale=3, min_width=360):
                self._draw_chooser()
                buttons = [self._draw_form(form) for form in self.forms]
            with gr.Column(scale=2, min_width=320):
                self._draw_answer()
        gr.HTML('<h2 class="section">Recent predictions</h2>', padding=False)
        self.history = gr.HTML(padding=False)
        for form, (panel_example, panel_run) in zip(self.forms, buttons, strict=True):
            self._connect(form, panel_example, panel_run)
        self._connect_page(page)

    def _draw_chooser(self) -> None:
        choices = [(form.model.title, form.model.name) for form in self.forms]
        self.model = gr.Dropdown(choices, label="Model", interactive=True, filterable=False)
        self.chip = gr.HTML(padding=False)
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
        self.result = gr.HTML(fragments.WAITING, padding=False)
        with gr.Group(elem_classes="feedback"):
            self.actual = gr.Radio(
                [], label="What really happened?", interactive=False, elem_id="actual"
            )
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
            [self.result, self.transaction, self.actual, self.submit, self.receipt, self.chip],
            api_visibility=PRIVATE,
        ).then(self.actions.history, None, self.history, api_visibility=PRIVATE)

    def _connect_page(self, page: gr.Blocks) -> None:
        shown = [self.model, self.chip, *self.panels]
        filled = [item for form in self.forms for item in form.inputs]
        page.load(self.actions.open, None, shown, api_visibility=PRIVATE).then(
            self.actions.history, None, self.history, api_visibility=PRIVATE
        ).then(self.actions.fill, None, [*self.notes, *filled], api_visibility=PRIVATE)
        self.model.input(
            self.actions.choose, self.model, [self.chip, *self.panels], api_visibility=PRIVATE
        )
        self.submit.click(
            self.actions.feedback,
            [self.key, self.transaction, self.actual],
            self.receipt,
            api_visibility=PRIVATE,
        ).then(self.actions.history, None, self.history, api_visibility=PRIVATE)
