"""What the tester's page lays out: the patient banner, the drafts, the cards, the answers, the rows of prefetch."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.kit.simulator.chart import Chart, ChartError
from cds_hooks.pages.tester.exchange import Exchanged, Outcome
from cds_hooks.pages.tester.rendering import (
    Draft,
    PrefetchRow,
    _answer,
    _by_hook,
    _cards,
    _drafts,
    _indented,
    _prefetch,
    _readings,
    _size,
    _who,
    page_values,
)
from cds_hooks.pages.tester.state import FHIR, FILE, Bench, Carried, UnusableForm

Json = dict[str, Any]


def _exchanged(cards: list[Any] | None = None, **more: Any) -> Exchanged:
    body = orjson.dumps({"cards": cards or []}).decode()
    values: Json = {
        "service": "s",
        "hook": "patient-view",
        "path": "/cds-services/s",
        "patient": "p",
        "status": 200,
        "headers": {"content-type": "application/json"},
        "body": body,
        "seconds": 0.05,
    }
    return Exchanged(**(values | more))


def _tester(patient: Json | Exception) -> Any:
    def chart(_: Bench) -> Chart:
        if isinstance(patient, Exception):
            raise patient
        return Chart([patient])

    return SimpleNamespace(
        chart=chart,
        seal=SimpleNamespace(sign=lambda text: f"seal of {len(text)}"),
        servers={"http://localhost:1": "other"},
        draws_dialects=True,
    )


def _banner(patient: Json | Exception, bench: Bench | None = None) -> list[tuple[str, str]]:
    return _who(_tester(patient), bench or Bench())


def test_the_banner_has_the_name_the_birth_the_sex_and_the_id() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "name": [{"family": "Ward", "given": ["Anna", "Maria"], "text": "Anna Ward"}],
        "birthDate": "1950-02-03",
        "gender": "female",
    }
    assert _banner(patient) == [
        ("Patient", "Ward, Anna Maria"),
        ("Born", "1950-02-03"),
        ("Sex", "female"),
        ("Id", "p1"),
    ]


def test_what_a_patient_does_not_have_is_said() -> None:
    assert _banner({"resourceType": "Patient"}) == [
        ("Patient", "not named"),
        ("Born", "not recorded"),
        ("Sex", "not recorded"),
        ("Id", "not recorded"),
    ]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([{"family": "Ward"}], "Ward"),
        ([{"given": ["Anna"]}], "Anna"),
        ([{"given": ["Anna", 2]}], "Anna 2"),
        ([{"family": "Ward", "given": "Anna"}], "Ward"),
        ([{"text": "Anna Ward"}], "Anna Ward"),
        ([{"family": "Ward"}, {"family": "Other"}], "Ward"),
        ([], "not named"),
        (["Ward"], "not named"),
        ({"family": "Ward"}, "not named"),
        (None, "not named"),
    ],
)
def test_the_first_name_of_a_patient_is_shown_in_whatever_form_it_is(names: Any, shown: str) -> None:
    assert _banner({"resourceType": "Patient", "name": names})[0] == ("Patient", shown)


def test_a_patient_of_a_fhir_server_has_an_id_only() -> None:
    assert _banner({}, Bench(patient=FHIR, fhir_patient="77")) == [("Patient", "77 at the FHIR server")]
    assert _banner({}, Bench(patient=FHIR)) == []


@pytest.mark.parametrize("error", [ChartError("none"), UnusableForm("none")])
def test_where_there_is_no_chart_there_is_no_banner(error: Exception) -> None:
    assert _banner(error, Bench(patient=FILE)) == []


def test_a_draft_keeps_its_number_where_a_medication_stands_before_it() -> None:
    drafts: list[Json] = [
        {"resourceType": "Medication", "id": "m"},
        {
            "resourceType": "MedicationRequest",
            "medicationCodeableConcept": {"text": "A"},
            "dosageInstruction": [{"text": "1 tablet"}],
        },
        {"resourceType": "ServiceRequest", "code": {"text": "B"}},
    ]
    bench = Bench(carried=Carried(drafts=drafts))
    assert _drafts(bench) == [Draft(1, "A", "1 tablet"), Draft(2, "B", "")]


def _bench_with_cards(**more: Any) -> Bench:
    first = _exchanged([{"summary": "a", "indicator": "info"}, {"summary": "b", "indicator": "critical"}])
    first.outcomes = {1: Outcome("accepted", "Stop")}
    sent = [("c", "warning"), ("d", "x"), ("e", "critical")]
    second = _exchanged([{"summary": summary, "indicator": indicator} for summary, indicator in sent], service="t")
    return Bench(carried=Carried(exchanges=[first, second]), **more)


def test_cards_stand_in_the_order_in_which_they_were_sent() -> None:
    cards = _cards(_bench_with_cards())
    assert [(card.position, card.service, card.card.summary, card.outcome) for card in cards] == [
        ("0:0", "s", "a", None),
        ("0:1", "s", "b", Outcome("accepted", "Stop")),
        ("1:0", "t", "c", None),
        ("1:1", "t", "d", None),
        ("1:2", "t", "e", None),
    ]


def test_cards_stand_by_how_grave_they_are_where_that_is_wanted() -> None:
    cards = _cards(_bench_with_cards(worst_first=True))
    assert [card.position for card in cards] == ["0:1", "1:2", "1:0", "0:0", "1:1"]


def test_an_answer_says_status_time_and_size_and_separates_what_is_out_of_scope() -> None:
    silence = [
        {"subject": "r1", "reason": "scope", "text": "Not here."},
        {"subject": "r2", "reason": "not-recognised", "text": "What?"},
        {"subject": "r3", "reason": "old", "text": "Old."},
    ]

    document = {"cards": [], "extension": {EXTENSION_KEY: {"silence": silence}}}
    body = orjson.dumps(document).decode()
    answer = _answer(_exchanged(body=body, seconds=0.0678))
    assert (answer.status, answer.took, answer.size) == ("200", "68 ms", f"{len(body)} bytes")
    assert answer.raw == orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    assert [row.subject for row in answer.scope] == ["r1", "r2"]
    assert [row.subject for row in answer.unsaid] == ["r3"]
    assert (answer.unsaid[0].reason, answer.unsaid[0].text) == ("old", "Old.")
    assert (answer.no_card.kind, [row.subject for row in answer.no_card.reasons]) == ("not-judged", ["r2", "r3"])
    assert answer.waterfall.total == "68"
    assert answer.exchanged.body == body
    assert answer.judgement.held


def test_an_answer_that_is_no_json_is_shown_as_it_is() -> None:
    answer = _answer(_exchanged(status=0, body="<html>", failure="No answer: ReadTimeout"))
    assert (answer.status, answer.raw, answer.size) == ("none", "<html>", "6 bytes")


def test_an_answer_of_null_is_shown_as_it_is() -> None:
    assert _answer(_exchanged(body="null")).raw == "null"


PREFETCH = {
    "patient": {"resourceType": "Patient"},
    "labs": {"resourceType": "Bundle", "entry": [{}]},
    "many": {"resourceType": "Bundle", "entry": [{}] * 1234},
    "empty": {"resourceType": "Bundle"},
    "odd": {"resourceType": "Bundle", "entry": "none"},
    "null": None,
    "typeless": {"id": "x"},
}
SENT = {
    "patient": "Patient",
    "labs": "1 entry",
    "many": "1,234 entries",
    "empty": "0 entries",
    "odd": "0 entries",
    "null": "sent as null",
    "typeless": "sent",
    "other": "not sent",
}
ENTRIES: list[Json] = [
    {"id": "before", "hook": "patient-view", "prefetch": {"wrong": "Patient/1"}},
    {"id": "s", "hook": "order-sign", "prefetch": {key: f"{key}?x" for key in SENT}},
    {"id": "bare", "hook": "patient-view"},
]


def test_of_every_key_it_is_said_what_was_sent() -> None:
    bench = Bench(service="s", request=orjson.dumps({"prefetch": PREFETCH}).decode())
    assert _prefetch(bench, ENTRIES) == [PrefetchRow(key, sent, f"{key}?x") for key, sent in SENT.items()]


@pytest.mark.parametrize("prefetch", [None, [], "x"])
def test_a_prefetch_that_is_no_object_has_no_key(prefetch: Any) -> None:
    bench = Bench(service="s", request=orjson.dumps({"prefetch": prefetch}).decode())
    assert {row.sent for row in _prefetch(bench, ENTRIES)} == {"not sent"}


@pytest.mark.parametrize(
    ("service", "request_text"), [("s", ""), ("s", "{"), ("s", "[]"), ("bare", "{}"), ("none", "{}")]
)
def test_without_a_service_or_a_request_there_are_no_rows(service: str, request_text: str) -> None:
    assert _prefetch(Bench(service=service, request=request_text), ENTRIES) == []


def test_entries_are_put_together_by_their_hook() -> None:
    assert _by_hook(ENTRIES) == {"patient-view": [ENTRIES[0], ENTRIES[2]], "order-sign": [ENTRIES[1]]}


def _lab(number: int, value: Any = 5.5) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-11-01",
        "valueQuantity": {"value": value, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
    }


def _read_of(entries: list[Json], **more: Any) -> list[str]:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in entries]}
    return _readings(Bench(request=orjson.dumps({"prefetch": {"labs": bundle, "gone": None} | more}).decode()))


def test_what_is_not_understood_stands_first_and_what_is_never_read_does_not_stand_there() -> None:
    lab, odd = _lab(1), _lab(2) | {"code": {"coding": [{"system": "http://loinc.org", "code": "0-0"}]}}
    first, second = _read_of([lab, odd, {"resourceType": "Basic", "id": "b"}])
    assert first.startswith("Observation/o2")
    assert second.startswith("Observation/o1")


def test_at_most_200_readings_are_shown() -> None:
    assert len(_read_of([_lab(number) for number in range(201)])) == 200


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"prefetch": []}', '{"prefetch": null}'])
def test_without_a_request_nothing_is_read(text: str) -> None:
    assert _readings(Bench(request=text)) == []


def test_a_size_is_in_bytes_below_a_thousand_and_then_in_kilobytes() -> None:
    assert [_size(text) for text in ("", "ä", "x" * 999, "x" * 1000, "x" * 1_234_560)] == [
        "0 bytes", "2 bytes", "999 bytes", "1.0 KB", "1,234.6 KB",
    ]  # fmt: skip


def test_json_is_indented_by_two() -> None:
    assert _indented({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'


def test_the_page_has_every_part() -> None:
    bench = _bench_with_cards(request='{"prefetch": {}}', service="s")
    bench.carried.exchanges[1].outcomes = {0: Outcome("dismissed"), 1: Outcome("accepted")}
    values = page_values(_tester({"resourceType": "Patient", "id": "p"}), bench, ENTRIES)
    assert values["it"] is bench
    assert values["carried_seal"] == f"seal of {len(values['carried'])}"
    assert orjson.loads(values["carried"])["exchanges"][0]["service"] == "s"
    assert values["accepted"] == 2
    assert values["request_size"] == "16 bytes"
    assert values["servers"] == {"http://localhost:1": "other"}
    assert values["who"][3] == ("Id", "p")
    assert values["drafts"] == []
    assert [answer.exchanged.service for answer in values["answers"]] == ["s", "t"]
    assert len(values["cards"]) == 5
    assert len(values["prefetch"]) == len(SENT)
    assert values["readings"] == []
    assert values["hooks"] == _by_hook(ENTRIES)
    assert values["ways"][0] == ("sent", "As sent")
    assert len(values["script"]) == 12


@pytest.mark.parametrize(("server", "draws", "can"), [("", True, True), ("", False, False), ("http://x", True, False)])
def test_dialects_are_drawn_of_this_servers_own_answers_of_the_published_form(
    server: str, draws: bool, can: bool
) -> None:
    tester = _tester({"resourceType": "Patient"})
    tester.draws_dialects = draws
    assert page_values(tester, Bench(server=server), [])["can_draw"] is can
