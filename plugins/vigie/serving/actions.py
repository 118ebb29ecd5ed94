"""Event handlers of the page; they take input values and return component updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
from jinja2 import Environment, PackageLoader, StrictUndefined

from vigie.errors import VigieError
from vigie.models.request import FeatureError

if TYPE_CHECKING:
    from vigie.serving.api_key import ApiKey
    from vigie.serving.form import ModelForm
    from vigie.serving.service import Serving

HISTORY = 8
KEY_ERROR = "The API key is missing or wrong."
#: The macros of ``templates/fragments.html``. They escape every value.
fragments: Any = (
    Environment(
        loader=PackageLoader("vigie.serving"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    .get_template("fragments.html")
    .module
)


class Actions:
    """Event handlers of the page; each shows a VigieError as a card."""

    def __init__(self, serving: Serving, guard: ApiKey, forms: Sequence[ModelForm]) -> None:
        self._serving = serving
        self._guard = guard
        self._forms = forms

    def open(self) -> list[Any]:
        """List the served models, or all models if none is served, and select one of them.

        The default model is selected if it is listed, else the first model.
        """
        served = [s.model.name for s in self._serving.served]
        forms = [f for f in self._forms if not served or f.model.name in served]
        if not forms:
            return [
                gr.Dropdown(choices=[]),
                fragments.error_card("models/ has no valid model file."),
            ]
        try:
            name = self._serving.slot().model.name
        except VigieError:
            name = ""
        choices = [(form.model.title, form.model.name) for form in forms]
        if name not in (form.model.name for form in forms):
            name = forms[0].model.name
        return [gr.Dropdown(choices=choices, value=name), *self.choose(name)]

    def choose(self, name: str) -> list[Any]:
        """Show the form and the served version of a model."""
        panels = [gr.Column(visible=form.model.name == name) for form in self._forms]
        return [self._version(name), *panels]

    def fill(self) -> list[Any]:
        """Fill each form with an example, so that Run Analysis works on the first click."""
        notes, values = [], []
        for form in self._forms:
            _, note, *filled = self.example(form, 0)
            notes.append(note)
            values += filled
        return [*notes, *values]

    def example(self, form: ModelForm, place: int) -> list[Any]:
        """Fill a form with the example at ``place``, a row of the reference table."""
        try:
            values, label = form.example(place)
        except VigieError as exc:
            return [place, fragments.error_card(str(exc)), *(gr.skip() for _ in form.inputs)]
        return [place, fragments.example_note(label), *values]

    def run(self, form: ModelForm, key: str | None, values: Sequence[Any]) -> list[Any]:
        """Make a prediction from the values of a form and enable feedback on it."""
        model = form.model
        if not self._guard.accepts((key or "").encode()):
            return self._failed(fragments.error_card(KEY_ERROR), model.name)
        try:
            served = self._serving.champion(model.name)
            result = self._serving.predict(model.name, form.features(values))
        except VigieError as exc:
            fields = exc.fields if isinstance(exc, FeatureError) else {}
            return self._failed(fragments.error_card(str(exc), fields), model.name)
        card = fragments.result_card(result, served.servable.threshold, model.positive_label)
        actual = gr.Radio(choices=list(reversed(model.labels)), value=None, interactive=True)
        transaction = result.prediction.transaction_id
        button = gr.Button(interactive=True, variant="primary")
        return [card, transaction, actual, button, "", self._version(model.name)]

    def feedback(self, key: str | None, transaction: str, actual: str | None) -> str:
        """Record the label of the prediction that the page shows."""
        if not self._guard.accepts((key or "").encode()):
            return str(fragments.error_card(KEY_ERROR))
        if not actual:
            return str(fragments.error_card("Choose the actual outcome first."))
        try:
            result = self._serving.feedback(transaction, actual, "page")
        except VigieError as exc:
            return str(fragments.error_card(str(exc)))
        return str(fragments.receipt_card(result))

    def history(self) -> str:
        """Return the latest predictions of all models, with their labels."""
        services = self._serving.services
        try:
            start = max(services.predictions.count() - HISTORY, 0)
            rows = []
            for event in reversed(services.predictions.page(start, HISTORY)):
                labels = services.labels.history(event.prediction.transaction_id)
                rows.append((event.prediction, labels[-1].actual if labels else None))
        except VigieError as exc:
            return str(fragments.error_card(str(exc)))
        return str(fragments.history_table(rows))

    def _version(self, name: str) -> str:
        slot = self._serving.champions.slot(name)
        return str(fragments.served_version(slot.served if slot else None, name))

    def _failed(self, card: str, name: str) -> list[Any]:
        off = gr.Button(interactive=False, variant="secondary")
        return [card, "", gr.Radio(value=None, interactive=False), off, "", self._version(name)]
