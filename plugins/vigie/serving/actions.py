"""What the page's buttons do; values in, component updates out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from vigie.errors import VigieError
from vigie.models.request import FeatureError
from vigie.serving import fragments

if TYPE_CHECKING:
    from vigie.serving.api_key import ApiKey
    from vigie.serving.form import ModelForm
    from vigie.serving.service import Serving

HISTORY = 8
NEEDS_KEY = "the API key is missing or wrong"


class Actions:
    """The page's events over the service; an error of ours becomes a card, never a traceback."""

    def __init__(self, serving: Serving, guard: ApiKey, forms: Sequence[ModelForm]) -> None:
        self._serving = serving
        self._guard = guard
        self._forms = forms

    def open(self) -> list[Any]:
        """Choose the default model, and offer those that answer (all, while none does)."""
        served = [s.model.name for s in self._serving.served]
        forms = [f for f in self._forms if not served or f.model.name in served]
        if not forms:
            return [gr.Dropdown(choices=[]), fragments.error_card("there is no file in models/")]
        try:
            name = self._serving.slot().model.name
        except VigieError:
            name = forms[0].model.name
        choices = [(form.model.title, form.model.name) for form in forms]
        return [gr.Dropdown(choices=choices, value=name), *self.choose(name)]

    def choose(self, name: str) -> list[Any]:
        """Show a model's form and which version answers."""
        panels = [gr.Column(visible=form.model.name == name) for form in self._forms]
        return [self._chip(name), *panels]

    def fill(self) -> list[Any]:
        """Fill each form with a real case, so that the page works at the first click."""
        notes, values = [], []
        for form in self._forms:
            _, note, *filled = self.example(form, 0)
            notes.append(note)
            values += filled
        return [*notes, *values]

    def example(self, form: ModelForm, place: int) -> list[Any]:
        """Fill a form with the next real case."""
        try:
            values, label = form.example(place)
        except VigieError as exc:
            return [place, fragments.error_card(str(exc)), *(gr.skip() for _ in form.inputs)]
        return [place, fragments.example_note(label), *values]

    def run(self, form: ModelForm, key: str | None, values: Sequence[Any]) -> list[Any]:
        """Answer, and make the feedback ready for this transaction."""
        model = form.model
        if not self._guard.accepts((key or "").encode()):
            return self._failed(fragments.error_card(NEEDS_KEY), model.name)
        try:
            served = self._serving.champion(model.name)
            report = self._serving.predict(model.name, form.features(values))
        except FeatureError as exc:
            return self._failed(fragments.error_card(str(exc), exc.fields), model.name)
        except VigieError as exc:
            return self._failed(fragments.error_card(str(exc)), model.name)
        card = fragments.result_card(report, served.servable.threshold, model.positive_label)
        choices = [model.positive_label, model.negative_label]
        actual = gr.Radio(choices=choices, value=None, interactive=True)
        transaction = report.prediction.transaction_id
        button = gr.Button(interactive=True, variant="primary")
        return [card, transaction, actual, button, "", self._chip(model.name)]

    def feedback(self, key: str | None, transaction: str, actual: str | None) -> str:
        """Record what really happened to the case on screen."""
        if not self._guard.accepts((key or "").encode()):
            return fragments.error_card(NEEDS_KEY)
        if not actual:
            return fragments.error_card("choose what really happened first")
        try:
            return fragments.receipt_card(self._serving.feedback(transaction, actual, "page"))
        except VigieError as exc:
            return fragments.error_card(str(exc))

    def history(self) -> str:
        """Return the latest predictions of all models, with their labels."""
        services = self._serving.services
        try:
            start = max(services.predictions.count() - HISTORY, 0)
            events = services.predictions.page(start, HISTORY)
            rows = []
            for event in reversed(events):
                labels = services.labels.history(event.prediction.transaction_id)
                rows.append((event.prediction, labels[-1].actual if labels else None))
        except VigieError as exc:
            return fragments.error_card(str(exc))
        return fragments.history_table(rows)

    def _chip(self, name: str) -> str:
        slot = self._serving.champions.slot(name)
        return fragments.chip(slot.served if slot else None, name)

    def _failed(self, card: str, name: str) -> list[Any]:
        off = gr.Button(interactive=False, variant="secondary")
        return [card, "", gr.Radio(value=None, interactive=False), off, "", self._chip(name)]
