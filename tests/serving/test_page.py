"""The page: form, cards, buttons."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from vigie.errors import TransientError
from vigie.models.catalog import get_model
from vigie.models.loading import load_model_file
from vigie.models.model_file import Feature
from vigie.serving.actions import Actions, fragments
from vigie.serving.api_key import ApiKey
from vigie.serving.app import create_app_with
from vigie.serving.form import ModelForm, grouped, title_of
from vigie.serving.page import in_loop
from vigie.testing import FakeServices

NAME = "breast_cancer"


@pytest.fixture
def form(model_folder: Path) -> ModelForm:
    return drawn(ModelForm(get_model(model_folder, NAME), Path()))


def drawn(form: ModelForm) -> ModelForm:
    def draw() -> None:
        with gr.Blocks(analytics_enabled=False):
            form.draw()

    in_loop(draw)
    return form


@pytest.fixture
def actions(client: TestClient, form: ModelForm) -> Actions:
    return Actions(client.app.state.serving, ApiKey(None), [form])  # type: ignore[attr-defined]


def features(*names: str) -> list[Feature]:
    return [Feature(name, "float") for name in names]


def test_few_features_are_one_group() -> None:
    assert [title for title, _ in grouped(features(*"abcdef"))] == ["Features"]


def test_groups_have_the_common_word_of_their_features_as_title(form: ModelForm) -> None:
    groups = grouped(form.model.features)
    assert [title for title, _ in groups] == ["Mean", "Error", "Worst"]
    assert [len(group) for _, group in groups] == [10, 10, 10]


def test_groups_without_a_common_word_have_their_range_as_title() -> None:
    names = [f"{chr(97 + i % 26)}{i}" for i in range(25)]
    titles = [title for title, _ in grouped(features(*names))]
    assert titles == ["Features 1 to 10", "Features 11 to 20", "Features 21 to 25"]


def test_titles_read_as_words() -> None:
    assert title_of(Feature("shortness_of_breath", "boolean")) == "Shortness of breath"
    assert title_of(Feature("CHEST_PAIN", "boolean")) == "Chest pain"
    assert title_of(Feature("V12", "float")) == "V12"
    assert title_of(Feature("x", "boolean", title="age of the patient")) == "Age of the patient"


def test_every_shipped_model_has_a_form(model_folder: Path) -> None:
    for path in model_folder.glob("*.toml"):
        model = load_model_file(path)
        form = drawn(ModelForm(model, Path()))
        assert len(form.inputs) == len(model.features)


def test_an_example_is_a_real_case_that_validates(form: ModelForm, cases: Any) -> None:
    values, label = form.example(0)
    assert (form.features(values), label) == cases[0]


def test_an_empty_input_is_left_out(form: ModelForm) -> None:
    values: list[Any] = [None] * 30
    values[1] = 17.5
    assert form.features(values) == {"mean_texture": 17.5}


def test_run_shows_a_prediction_and_enables_the_feedback(
    actions: Actions, form: ModelForm, served: FakeServices
) -> None:
    values, _ = form.example(0)
    card, transaction, radio, button, _, chip = actions.run(form, "", values)
    assert served.predictions.get(transaction) is not None
    assert transaction in card
    assert radio.choices == [("malignant", "malignant"), ("benign", "benign")]
    assert button.interactive
    assert "<b>v1</b>" in chip


def test_feedback_records_a_label_and_history_shows_it(
    actions: Actions, form: ModelForm, served: FakeServices
) -> None:
    transaction = actions.run(form, "", form.example(0)[0])[1]
    assert "recorded" in actions.feedback("", transaction, "benign")
    (label,) = served.labels.history(transaction)
    assert (label.actual, label.source) == ("benign", "page")
    assert "<td>benign</td>" in actions.history()


def test_the_card_names_an_invalid_value(actions: Actions, form: ModelForm) -> None:
    values, _ = form.example(0)
    card, transaction, radio, button, *_ = actions.run(form, "", [999, *values[1:]])
    assert "<b>mean_radius</b> expected a number from 0 to 57, found 999" in card
    assert (transaction, radio.interactive, button.interactive) == ("", False, False)


def test_a_listed_model_is_selected_if_the_default_model_is_not_served(
    served: FakeServices, form: ModelForm, model_folder: Path
) -> None:
    shutil.copy(model_folder / "fraud.toml", served.paths.models)
    with TestClient(create_app_with(served, page=False, default_model="fraud")) as client:
        serving = client.app.state.serving  # type: ignore[attr-defined]
        other = ModelForm(get_model(model_folder, "fraud"), Path())
        dropdown, *_ = Actions(serving, ApiKey(None), [form, other]).open()
    assert (dropdown.value, [name for _, name in dropdown.choices]) == (NAME, [NAME])


def test_feedback_without_a_choice_asks_for_one(actions: Actions) -> None:
    assert "Choose the actual outcome" in actions.feedback("", "t", None)


def test_the_page_requires_the_api_key(client: TestClient, form: ModelForm) -> None:
    serving = client.app.state.serving  # type: ignore[attr-defined]
    actions = Actions(serving, ApiKey("secret"), [form])
    values, _ = form.example(0)
    assert "API key" in actions.run(form, "wrong", values)[0]
    assert "API key" in actions.feedback("", "t", "benign")
    assert "verdict" in actions.run(form, "secret", values)[0]


def test_a_database_outage_is_shown_as_a_card(
    actions: Actions, form: ModelForm, served: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> Any:
        raise TransientError("PostgreSQL did not answer")

    monkeypatch.setattr(served.predictions, "add", down)
    monkeypatch.setattr(served.predictions, "count", down)
    assert "PostgreSQL did not answer" in actions.run(form, "", form.example(0)[0])[0]
    assert "PostgreSQL did not answer" in actions.history()


def test_values_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    texts = [
        fragments.error_card(evil),
        fragments.error_card("x", {evil: evil}),
        fragments.example_note(evil),
        fragments.served_version(None, evil),
    ]
    assert not any("<script" in text for text in texts)


def test_fragments_are_balanced(actions: Actions, form: ModelForm) -> None:
    result = actions.run(form, "", form.example(0)[0])
    receipt = actions.feedback("", result[1], "benign")
    for html in (fragments.header(), result[0], result[5], receipt, actions.history()):
        assert open_tags(html) == []


def open_tags(html: str) -> list[str]:
    stack: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    Reader().feed(html)
    return stack


def test_the_page_is_mounted_and_needs_no_other_host(served: FakeServices) -> None:
    with TestClient(create_app_with(served)) as client:
        assert client.get("/", follow_redirects=False).headers["location"] == "/ui/"
        page = client.get("/ui/")
        assert page.status_code == 200
        assert "googleapis" not in page.text
        assert client.get("/favicon.ico").headers["content-type"].startswith("image/svg+xml")
        info = client.get("/ui/gradio_api/info").json()
        assert list(info["named_endpoints"]) == ["/logs_api"]


def press(client: TestClient, button: str, data: list[Any]) -> list[Any]:
    """Send the request of a browser for a pressed button and return the output."""
    config = client.get("/ui/config").json()
    ids = {c["id"] for c in config["components"] if c["props"].get("value") == button}
    (event,) = [d for d in config["dependencies"] if any(t[0] in ids for t in d["targets"])]
    request = {"data": data, "fn_index": event["id"], "session_hash": "s"}
    assert client.post("/ui/gradio_api/queue/join", json=request).status_code == 200
    stream = client.get("/ui/gradio_api/queue/data", params={"session_hash": "s"}).text
    messages = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:")]
    (done,) = [m for m in messages if m["msg"] == "process_completed"]
    assert done["success"], done
    output: list[Any] = done["output"]["data"]
    return output


def test_the_buttons_work_through_the_queue(
    served: FakeServices, form: ModelForm, cases: Any
) -> None:
    values, label = form.example(0)
    with TestClient(create_app_with(served)) as client:
        card, *_ = press(client, "Run Analysis", [None, *values])
        assert "verdict" in card
        press(client, "Submit feedback", [None, None, label])  # the state is kept on the server
    (transaction,) = [p.transaction_id for p in served.predictions.log]
    assert [label.actual for label in served.labels.history(transaction)] == [cases[0][1]]


def test_serving_loads_neither_torch_nor_mlflow() -> None:
    """They take hundreds of megabytes, and no prediction needs them."""
    code = (
        "import sys, tempfile, pathlib\n"
        "from vigie.serving.app import create_app_with\n"
        "from vigie.testing import FakeServices\n"
        "create_app_with(FakeServices(pathlib.Path(tempfile.mkdtemp())))\n"
        "print([m for m in ('torch', 'mlflow', 'evidently', 'airflow') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_that_waits_for_data_has_a_form_without_examples(
    served: FakeServices, model_folder: Path
) -> None:
    shutil.copy(model_folder / "lung_cancer.toml", served.paths.models)
    model = get_model(served.paths.models, "lung_cancer")
    with TestClient(create_app_with(served, page=False)) as client:
        form = drawn(ModelForm(model, served.paths.data))
        serving = client.app.state.serving  # type: ignore[attr-defined]
        _, note, *_ = Actions(serving, ApiKey(None), [form]).example(form, 0)
        assert "waiting for data" in note
