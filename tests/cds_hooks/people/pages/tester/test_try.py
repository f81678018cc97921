"""The tester's page over HTTP: what its buttons do, who may open it, and that nothing of an answer becomes markup."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.evidence.storage.queries import feedback_on
from cds_hooks.people.web.site import HEADERS
from cds_hooks.samples import load_patient
from tests.cds_hooks.calls import client
from tests.cds_hooks.people.pages.tester.pressing import Bench, opened
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.contracts.markup import faults
from tests.recorded import list_decisions

ORDER_SELECT = "order-select/order-safety-select"
HOSTILE = "<img src=x onerror=alert(1)></textarea></select>\u202e"


async def _tried(folder: Path, pressing: Callable[[Bench], Awaitable[Bench]], **settings: Any) -> Bench:
    async with client(folder, as_of=AS_OF, **settings) as calls:
        return await pressing(await opened(calls))


def _is_sound(bench: Bench) -> None:
    assert bench.answer.status_code == 200
    assert {name: bench.answer.headers.get(name) for name in HEADERS} == HEADERS
    assert faults(bench.html) == []


@pytest.mark.parametrize("button", ["choose", "build", "send", "resend", "add", "open"])
async def test_no_draft_request_or_answer_of_one_patient_is_shown_under_the_name_of_another(
    tmp_path: Path, button: str
) -> None:
    async def change(bench: Bench) -> Bench:
        first = await bench.press(
            "ready", ready="metformin-ckd4-coded", patient="sample:ckd4-metformin", call=ORDER_SELECT
        )
        answered = await first.press("send")
        assert "Metformin" in answered.text.partition("3 Answer")[2]
        paste = json.dumps(load_patient("infant", AS_OF)) if button == "open" else ""
        to = {"paste": paste} if paste else {"patient": "sample:infant"}
        return await answered.press(
            button, **to, call="patient-view/planning-conversation", order="naproxen 500 mg tablet"
        )

    bench = await _tried(tmp_path, change)
    assert "ckd4-metformin" not in bench.fields["carried"]
    assert "ckd4-metformin" not in bench.fields.get("request", "")
    assert "metformin" not in bench.text.partition("2 Request")[2].lower()


async def test_an_answer_to_an_edited_request_stands_under_the_patient_of_that_request(tmp_path: Path) -> None:
    async def edit(bench: Bench) -> Bench:
        built = await bench.press("build")
        return await built.press("resend", request=built.fields["request"].replace("planning-talk", "somebody-else"))

    bench = await _tried(tmp_path, edit)
    assert "somebody-else, as the request says" in bench.text
    assert "Brandt" not in bench.text.partition("2 Request")[0]


async def test_an_edited_request_is_sent_as_it_stands(tmp_path: Path) -> None:
    async def edit(bench: Bench) -> Bench:
        built = await bench.press("build")
        return await built.press("resend", request=built.fields["request"].replace('"patient-view"', '"order-sign"'))

    bench = await _tried(tmp_path, edit)
    assert "Answered with HTTP 400" in bench.text
    assert '"hook": "order-sign"' in bench.fields["request"]


async def test_broken_json_is_sent_too_and_refused_by_the_server(tmp_path: Path) -> None:
    async def edit(bench: Bench) -> Bench:
        return await (await bench.press("build")).press("resend", request="{")

    bench = await _tried(tmp_path, edit)
    assert "Answered with HTTP 400" in bench.text
    assert bench.fields["request"].strip() == "{"


async def test_a_200_without_a_list_of_cards_is_a_failure_and_no_silence(tmp_path: Path) -> None:
    async def forge(bench: Bench) -> Bench:
        sent = await bench.press("send")
        carried = json.loads(sent.fields["carried"])
        carried["exchange"]["body"] = "{}"
        return await sent.press("choose", carried=json.dumps(carried))

    bench = await _tried(tmp_path, forge)
    assert "The answer holds no list of cards" in bench.text
    assert "nothing to recommend" not in bench.text


async def _ordered(bench: Bench) -> Bench:
    dosed = {"order": "Naproxen 500 MG Oral Tablet", "dose": "1 tablet twice a day"}
    return await bench.press("add", patient="sample:nsaid-egfr-25", **dosed)


async def test_a_name_that_fits_several_is_asked_about_and_an_unknown_one_is_added_as_words_only_when_asked(
    tmp_path: Path,
) -> None:
    async def order(bench: Bench) -> Bench:
        several = await bench.press("add", order="naproxen 500")
        assert "names fit" in several.text
        unknown = await several.press("add", order="qwertymycin")
        assert "No drug and no test has this name" in unknown.text
        return await unknown.press("words")

    bench = await _tried(tmp_path, order)
    (draft,) = json.loads(bench.fields["carried"])["drafts"]
    assert draft["medicationCodeableConcept"] == {"text": "qwertymycin"}


async def test_an_accepted_suggestion_changes_the_drafts_of_the_next_call_and_sends_feedback(
    tmp_path: Path,
) -> None:
    async def accept(bench: Bench) -> Bench:
        sent = await (await _ordered(bench)).press("send")
        accepted = await sent.press(sent.buttons("accept:")[0])
        assert "Accepted" in accepted.text
        assert '"acceptedSuggestions"' in accepted.html.replace("&#34;", '"')
        assert accepted.buttons("override:") == []
        return await accepted.press("send")

    bench = await _tried(tmp_path, accept)
    url = f"sqlite:///{tmp_path}/decisions.sqlite3"
    (_, first) = list_decisions(url)
    (item,) = feedback_on(url, first.id)
    assert item.outcome == "accepted"
    entries = json.loads(bench.fields["request"])["context"]["draftOrders"]["entry"]
    names = [each["resource"]["medicationCodeableConcept"]["text"].lower() for each in entries]
    assert names
    assert not [name for name in names if "naproxen" in name]


async def test_a_card_is_overridden_with_a_reason_or_dismissed_without(tmp_path: Path) -> None:
    async def override(bench: Bench) -> Bench:
        sent = await (await _ordered(bench)).press("send")
        *reasons, dismiss = sent.buttons("override:")
        assert "Overridden" in (await sent.press(reasons[0])).text
        again = await sent.press("send")
        return await again.press(dismiss)

    assert "Dismissed" in (await _tried(tmp_path, override)).text
    url = f"sqlite:///{tmp_path}/decisions.sqlite3"
    (without,), (with_reason,) = (feedback_on(url, decision.id) for decision in list_decisions(url))
    assert (with_reason.outcome, without.outcome) == ("overridden", "overridden")
    assert (bool(with_reason.override_reason_code), without.override_reason_code) == (True, None)


async def test_a_suggestion_of_patient_view_becomes_a_draft_that_is_checked_next(tmp_path: Path) -> None:
    async def check(bench: Bench) -> Bench:
        sent = await bench.press("send")
        accepted = await sent.press(sent.buttons("accept:")[0])
        return await accepted.press("send")

    bench = await _tried(tmp_path, check)
    request = json.loads(bench.fields["request"])
    assert request["hook"] == "order-select"
    assert len(request["context"]["draftOrders"]["entry"]) == 1


async def test_a_chart_of_a_file_is_read_and_hostile_text_in_it_stays_text(tmp_path: Path) -> None:
    chart = load_patient("planning-talk", AS_OF)
    patient = next(each["resource"] for each in chart["entry"] if each["resource"]["resourceType"] == "Patient")
    patient["name"] = [{"family": HOSTILE, "given": [HOSTILE]}]

    async def open_(bench: Bench) -> Bench:
        read = await bench.press("open", paste=json.dumps(chart))
        assert "The chart was read." in read.text
        return await read.press("send")

    bench = await _tried(tmp_path, open_)
    _is_sound(bench)
    assert "<img src=x" not in bench.html
    assert "onerror=alert(1)" in bench.text
    assert "people with results like these" in bench.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"resourceType": "Bundle", "entry": []}', "holds 0 patients"),
        ('{"hook": 1, "context": {"draftOrders": "x"}}', "holds 0 patients"),
        ("[" * 100_000, "is not JSON"),
        (f'{{"resourceType": "Patient", "id": "p", "x": {"[" * 900 + "]" * 900}}}', "is nested deeper than any"),
        ('{"resourceType": "Bundle", "entry": [null, {"resource": 7}]}', "holds 0 patients"),
        (f'{{"resourceType": "Patient", "id": "p", "multipleBirthInteger": {"9" * 30}}}', "The chart was read"),
        ('{"resourceType": "Patient", "id": "\\ud800"}', "is not JSON"),
    ],
)
async def test_a_file_that_is_something_else_is_named(tmp_path: Path, text: str, said: str) -> None:
    bench = await _tried(tmp_path, lambda page: page.press("open", paste=text))
    assert bench.answer.status_code == 200
    assert said in bench.text
