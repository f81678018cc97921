"""Each button of the tester's page that cannot do what it says says why, where the browser goes; the others do it."""

import asyncio
import shlex
from typing import Any

import orjson
import pytest

from cds_hooks.kit.samples import list_samples
from cds_hooks.pages.tester.actions import Tester as Buttons
from cds_hooks.pages.tester.actions import _patient_of
from cds_hooks.pages.tester.exchange import Exchanged, Outcome
from cds_hooks.pages.tester.orders import Dosing
from cds_hooks.pages.tester.state import Bench, Problem
from cds_hooks.services import find_services
from cds_hooks.settings import Settings
from tests.cds_hooks.services.equation_calls import NOW

DRAFT = list_samples()[0].orders[0].draft if list_samples()[0].orders else ""
NAPROXEN = {"resourceType": "MedicationRequest", "id": "1", "medicationCodeableConcept": {"text": "naproxen"}}


class Server:
    """Stands in for the whole server: answers every call with the same text."""

    def __init__(self, body: Any = None, status: int = 200) -> None:
        self.body, self.status = orjson.dumps(body if body is not None else {"cards": []}), status
        self.calls: list[tuple[str, Any, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.calls.append((scope["path"], orjson.loads(body), headers.get("authorization", "")))
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.body})


def press(bench: Bench, do: str, server: Server | None = None, services: Any = None, **form: str) -> bytes | None:
    """What the button gives back."""
    app = server or Server()
    configured = Settings(as_of=NOW, public_url="https://cds.example.org")
    tester = Buttons(configured, find_services() if services is None else services, lambda: app)
    return asyncio.run(tester.press(bench, do, form))


def problem(do: str, bench: Bench | None = None, services: Any = None, **form: str) -> Problem | None:
    """What is said after the button; then nothing was sent."""
    made, server = bench or Bench(), Server()
    assert press(made, do, server, services, **form) is None
    assert server.calls == []
    return made.problem


ORDER_SIGN = "order-sign/order-safety-sign"


@pytest.mark.parametrize(
    ("do", "bench", "expected"),
    [
        (
            "build",
            {"patient": "fhir", "fhir_server": "https://fhir.example.org"},
            ("patient", "Give the address of the FHIR server and the patient's id there.", "request"),
        ),
        (
            "build",
            {"patient": "fhir", "fhir_patient": "p"},
            ("patient", "Give the address of the FHIR server and the patient's id there.", "request"),
        ),
        (
            "send",
            {"patient": "file"},
            ("patient", "Choose a file with the patient's Bundle, or paste it, and open it.", "answer"),
        ),
        (
            "all",
            {"patient": "sample:nobody"},
            ("patient", "There is no such sample patient; choose one of the list.", "answer"),
        ),
        (
            "send",
            {"call": "patient-view/gone"},
            ("patient", "There is no service gone for patient-view at this server; choose another one.", "answer"),
        ),
        (
            "send",
            {"call": ORDER_SIGN},
            (
                "order",
                "order-sign is about orders, and there is none yet. Add one under Draft orders, such as naproxen 500, "
                "or a ready-made draft.",
                "answer",
            ),
        ),
        (
            "resend",
            {"service": "s", "request": " "},
            ("request", "There is no request yet; build one first.", "answer"),
        ),
        ("resend", {"request": "{}"}, ("request", "There is no request yet; build one first.", "answer")),
        ("curl", {"service": "s", "request": " "}, ("patient", "There is no request yet; build one first.", "request")),
        ("curl", {"request": "{}"}, ("patient", "There is no request yet; build one first.", "request")),
        ("open", {}, ("patient", "Choose a file, or paste its JSON, and open it then.", "top")),
        ("add", {}, ("order", "Write the name of a drug or a test.", "drafts")),
        ("words", {}, ("order", "Write the name of a drug or a test.", "drafts")),
        ("ready", {}, ("ready", "Choose one of the ready-made drafts.", "drafts")),
        ("accept:0:0:0", {}, ("patient", "There is no such card on the page; send the call again.", "answer")),
        ("override:x:0", {}, ("patient", "There is no such card on the page; send the call again.", "answer")),
        ("dismiss:0", {}, ("patient", "There is no such card on the page; send the call again.", "answer")),
        (
            "save",
            {},
            ("request", "Send this request to one service first: what was answered is saved with it.", "request"),
        ),
        (
            "add",
            {"order": "naproxen", "dosing": Dosing("x")},
            ("dose", "Dose: write a number above 0, such as 1 or 2.5.", "drafts"),
        ),
    ],
)
def test_what_a_button_cannot_do_is_said_where_it_leads(do: str, bench: Any, expected: Any) -> None:
    assert problem(do, Bench(**bench)) == (Problem(*expected) if expected else None)


def test_a_server_without_a_service_for_the_hook_says_so() -> None:
    assert problem("sign", services={}) == Problem("patient", "This server has no service for order-sign.")
    document = '{"hook": "order-sign", "hookInstance": "i", "context": {"patientId": "p"}, "prefetch": %s}'
    paste = document % '{"patient": {"resourceType": "Patient", "id": "p"}}'
    said = problem("open", services={}, paste=paste)
    assert said == Problem("patient", "This server has no service for order-sign.", "top")


def test_a_chart_with_a_part_of_another_form_is_named() -> None:
    bench = Bench(
        patient="file",
        upload='{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}]}',
    )
    bench.call, bench.carried.drafts = ORDER_SIGN, [{"resourceType": "MedicationRequest", "id": 7, "subject": 1}]
    assert press(bench, "build") is None
    other = Bench(patient="file", upload='{"resourceType": "Bundle", "entry": 7}')
    assert problem("build", other) == Problem(
        "patient", "The file is no Bundle, Patient or CDS Hooks request of the published form.", "request"
    )


def test_one_service_or_all_of_a_hook_are_asked_with_the_token() -> None:
    server, bench = Server({"cards": [], "a": 1}), Bench(token="t0")  # noqa: S106
    press(bench, "send", server)
    ((path, request, authorization),) = server.calls
    assert (path, authorization) == ("/cds-services/planning-conversation", "Bearer t0")
    assert (bench.service, orjson.loads(bench.request), bench.requests) == ("planning-conversation", request, [])
    (exchanged,) = bench.carried.exchanges
    assert (exchanged.service, exchanged.hook, exchanged.status) == ("planning-conversation", "patient-view", 200)
    assert exchanged.patient == request["context"]["patientId"] != ""
    saved = press(bench, "save")
    assert saved is not None
    assert orjson.loads(saved)["service"] == "planning-conversation"
    bench.request += " "
    assert press(bench, "save") is not None  # white space is no edit
    bench.request = bench.request.replace("patient-view", "patient-view2")
    assert press(bench, "save") is None
    press(bench, "all", server)
    listed = [
        entry["id"]
        for service in find_services().values()
        for entry in service.discovery()
        if entry["hook"] == "patient-view"
    ]
    assert [path for path, _, _ in server.calls[1:]] == [f"/cds-services/{name}" for name in listed]
    assert (bench.service, bench.request) == ("", "")
    assert [name for name, _ in bench.requests] == listed
    assert press(bench, "save") is None


def test_a_saved_call_with_a_failure_has_no_cards() -> None:
    bench = Bench()
    press(bench, "send", Server({"issue": []}, 500))
    saved = press(bench, "save")
    assert saved is not None
    assert orjson.loads(saved)["expected"] == {"status": 500, "cards": None}


def test_only_servers_of_the_setting_are_asked() -> None:
    server, bench = Server(), Bench(server="https://elsewhere.example.org")
    press(bench, "send", server)
    assert (bench.server, len(server.calls)) == ("", 1)


def test_a_ready_made_draft_leads_to_the_check_of_orders() -> None:
    bench = Bench()
    press(bench, "ready", ready=DRAFT)
    assert (bench.problem, bench.call) == (None, "order-select/order-safety-select")
    assert len(bench.carried.drafts) >= 1
    before = list(bench.carried.drafts)
    press(bench, "ready", services={}, ready=DRAFT)
    assert bench.call == "order-select/order-safety-select"
    assert len(bench.carried.drafts) == 2 * len(before)
    press(bench, "remove:1")
    press(bench, "remove:9")
    assert len(bench.carried.drafts) == 2 * len(before) - 1
    without = Bench()
    press(without, "ready", services={}, ready=DRAFT)
    assert without.call == Bench().call


def test_an_order_is_found_by_its_name_in_whatever_way_it_is_written() -> None:
    bench = Bench(order="Naproxen  500")
    press(bench, "add")
    assert len(bench.matches) > 1
    assert bench.carried.drafts == []
    press(bench, "words")
    (draft,) = bench.carried.drafts
    assert (draft["medicationCodeableConcept"], bench.order) == ({"text": "Naproxen  500"}, "")
    name = bench.matches[0].name
    press(bench, f"named:{name.upper()}")
    assert bench.carried.drafts[1]["medicationCodeableConcept"]["text"] == name
    exact = Bench(order="NAPROXEN")
    press(exact, "add")
    assert [draft["medicationCodeableConcept"]["text"] for draft in exact.carried.drafts] == ["naproxen"]
    single = Bench(order="anaprox 550")
    press(single, "add")
    assert (single.order, single.matches) == ("", [])
    assert (
        single.carried.drafts[0]["medicationCodeableConcept"]["text"] == "naproxen sodium 550 MG Oral Tablet [Anaprox]"
    )


def test_another_patient_or_another_order_of_cards_forgets_or_keeps_what_was_answered() -> None:
    bench = Bench()
    press(bench, "send")
    press(bench, "order:worst")
    assert (bench.worst_first, len(bench.carried.exchanges)) == (True, 1)
    press(bench, "order:sent")
    assert not bench.worst_first
    press(bench, "choose")
    assert (bench.request, bench.service, bench.carried.exchanges) == ("", "", [])


def test_curl_has_the_request_on_one_line_or_as_it_stands() -> None:
    for request, body in (('{\n "a": "it\'s"\n}', '{"a":"it\'s"}'), ("{broken", "{broken")):
        bench = Bench(service="s", request=request)
        press(bench, "curl")
        assert bench.curl == (
            "curl -sS -X POST -H 'Content-Type: application/json' https://cds.example.org/cds-services/s "
            f"-d {shlex.quote(body)}"
        )


def answered(cards: list[Any], **more: Any) -> Bench:
    """A page with an answer of these cards."""
    bench = Bench(service="s", **more)
    body = orjson.dumps({"cards": cards}).decode()
    bench.carried.exchanges = [Exchanged("s", "order-select", "/cds-services/s", "p", 200, {}, body, 0.1)]
    return bench


CARD: dict[str, Any] = {
    "uuid": "u",
    "summary": "Look",
    "indicator": "info",
    "source": {"label": "s"},
    "suggestions": [
        {"uuid": "s0", "label": "Keep", "actions": []},
        {"uuid": "s1", "label": "Stop", "actions": [{"type": "delete", "resourceId": "MedicationRequest/1"}]},
    ],
    "overrideReasons": [{"code": "n", "display": "No"}, {"code": "l", "display": "Later"}],
}


def test_an_accepted_suggestion_changes_the_drafts_and_is_fed_back() -> None:
    request = {
        "context": {"patientId": "p", "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": NAPROXEN}]}}
    }
    bench, server = answered([CARD], request=orjson.dumps(request).decode(), token="t0"), Server()  # noqa: S106
    press(bench, "accept:0:0:1", server)
    ((path, body, authorization),) = server.calls
    assert (path, authorization) == ("/cds-services/s/feedback", "Bearer t0")
    assert body == {
        "feedback": [
            {
                "card": "u",
                "outcome": "accepted",
                "outcomeTimestamp": NOW.isoformat(timespec="seconds"),
                "acceptedSuggestions": [{"id": "s1"}],
            }
        ]
    }
    assert bench.carried.drafts == []
    assert orjson.loads(bench.request)["context"]["draftOrders"]["entry"] == []
    assert bench.carried.exchanges[0].outcomes == {0: Outcome("accepted", "Stop")}
    assert [sent.status for sent in bench.carried.feedback] == [200]
    assert [change.after for change in bench.carried.changes] == ["removed"]
    for place in ("0:0:2", "0:0", "0:0:1:1"):
        press(bench, f"accept:{place}")
        assert bench.problem == Problem("patient", "There is no such suggestion on the card; send the call again.")


def test_a_suggestion_to_a_broken_request_changes_the_drafts_alone() -> None:
    bench = answered([{**CARD, "uuid": ""}], request="{")
    bench.carried.drafts = [NAPROXEN]
    server = Server()
    press(bench, "accept:0:0:1", server)
    assert (bench.carried.drafts, bench.request, server.calls) == ([], "{", [])
    assert bench.note == "No feedback is sent: cards of this way of drawing have no uuid."
    press(answered([CARD], request='{"context": 1}'), "accept:0:0:1", server)
    broken = answered([CARD], request='{"context": {"draftOrders": 7}}')
    press(broken, "accept:0:0:1", server)
    assert broken.problem is not None
    assert server.calls == []


def test_a_card_is_overridden_with_its_reason_or_dismissed() -> None:
    bench, server = answered([CARD, {**CARD, "uuid": ""}]), Server()
    press(bench, "override:0:0", server, other="x")
    assert bench.problem == Problem(
        "cards", "Choose a reason to override the card, or dismiss it without one.", "answer"
    )
    assert server.calls == []
    bench.problem = None
    press(bench, "override:0:0", server, **{"reason-0-0": "1"})
    assert bench.carried.exchanges[0].outcomes[0] == Outcome("overridden", "Later")
    assert server.calls[0][1]["feedback"][0]["overrideReason"] == {"reason": CARD["overrideReasons"][1]}
    press(bench, "dismiss:0:0", server)
    assert bench.carried.exchanges[0].outcomes[0] == Outcome("dismissed")
    assert "overrideReason" not in server.calls[1][1]["feedback"][0]
    press(bench, "dismiss:0:1", server)
    assert len(server.calls) == 2
    assert bench.note == "No feedback is sent: cards of this way of drawing have no uuid."
    press(answered([{**CARD, "overrideReasons": []}]), "override:0:0", server, other="x")
    assert len(server.calls) == 3


def test_cards_that_cannot_be_drawn_stay_as_they_were() -> None:
    bench = answered([{"summary": 1}])
    press(bench, "draw:epic")
    assert bench.problem is not None
    assert (bench.draw, bench.problem.text[:44]) == ("sent", "These cards cannot be drawn in this way: Exp")
    press(bench, "draw:other")
    assert bench.draw == "other"


def test_the_patient_of_a_request_is_a_text_in_its_context() -> None:
    texts = ("{", "[]", "{}", '{"context": 1}', '{"context": {"patientId": 7}}', '{"context": {"patientId": "p"}}')
    assert [_patient_of(text) for text in texts] == ["", "", "", "", "", "p"]
