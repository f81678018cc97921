"""What the checks say of single answers, without a server: each status, each body, each difference."""

import json
from types import SimpleNamespace
from typing import Any

from cds_hooks.kit.contract import assertions
from cds_hooks.kit.contract.checks import cards, discovery, epic
from cds_hooks.kit.contract.connection import Exchange, Purpose
from cds_hooks.kit.contract.document import NotTested
from tests.cds_hooks.kit.contract.icon import png
from tests.each import for_rows

CARDS = b'{"cards": [{"summary": "x"}]}'


def answered(status: int, body: bytes = CARDS, title: str = "", kind: str = "application/json") -> Exchange:
    """An answer of the server."""
    return Exchange(title, Purpose.CALL, False, "POST", "/p", status, {"content-type": kind}, body, 0.1)


def said(faults: Any) -> list[str]:
    """The sentences of faults, or why it was not tested."""
    try:
        return [fault.message for fault in faults]
    except NotTested as reason:
        return [f"not tested: {reason}"]


STATUSES = (0, 199, 200, 201, 399, 400, 401, 403, 404, 412, 499, 500, 503)


@for_rows(
    ("assertion", "good"),
    [
        (assertions.expect_cards, {200}),
        (assertions.expect_cards_or_412, {200, 412}),
        (assertions.expect_no_failure, set(STATUSES) - {0, 500, 503}),
        (assertions.expect_refusal, {400, 401, 403, 404, 412, 499, 500, 503}),
        (assertions.expect_unauthorized, {401, 403}),
    ],
)
def test_each_expectation_takes_its_statuses_and_no_other(assertion: Any, good: set[int]) -> None:
    assert {status for status in STATUSES if not said(assertion(answered(status)))} == good


class Service(SimpleNamespace):
    """A service whose answers are planned; it writes down what it is sent."""

    def request(self) -> dict[str, Any]:
        """A whole call."""
        return {"hook": self.hook, "context": {"patientId": "p1", "userId": "u"}}

    def send(self, request: Any, title: str, broken: bool = False) -> Exchange:
        """Write the request down and give the next answer."""
        self.sent.append((json.loads(json.dumps(request)), title, broken))
        return self.answers.pop(0) if self.answers else answered(200)

    send_as_is = send


def service(*answers: Exchange, hook: str = "patient-view", **more: Any) -> Any:
    """A service with these answers."""
    return Service(**{"hook": hook, "id": "s", "answers": list(answers), "sent": [], "calls": []} | more)


class Target(SimpleNamespace):
    """A server whose discovery is planned."""

    root = "/cds-services"

    def observe_discovery(self) -> None:
        """It was seen."""


def target(found: Exchange, *more: Exchange) -> Any:
    """A server with this discovery and these answers to further requests."""
    answers = list(more)
    next_answer: Any = lambda *_: answers.pop(0)  # noqa: E731
    return Target(discovery=found, connection=SimpleNamespace(get=next_answer, send=next_answer))


def test_discovery_is_judged_by_its_status_and_as_json() -> None:
    assert said(discovery.discovery_answers_get_with_200(target(answered(200)))) == []
    (words,) = said(discovery.discovery_answers_get_with_200(target(answered(404))))
    assert words.endswith("name it: --discovery PATH")
    (words,) = said(discovery.discovery_answers_get_with_200(target(answered(500))))
    assert "--discovery" not in words
    assert said(discovery.discovery_is_strict_json(target(answered(200)))) == []
    (words,) = said(discovery.discovery_is_strict_json(target(answered(200, b"{,}"))))
    assert words.startswith("no JSON: ")
    assert said(discovery.discovery_is_strict_json(target(answered(500, b"{,}")))) == []
    declared = discovery.discovery_is_declared_as_json
    assert [len(said(declared(target(answered(status, kind=kind))))) for status, kind in (
        (200, "application/json"), (200, "text/html"), (404, "text/html"),
    )] == [0, 1, 0]  # fmt: skip


@for_rows(("status", "count"), [(200, 0), (404, 1), (405, 1), (406, 0), (500, 0)])
def test_a_listed_service_that_is_not_there_is_a_fault_of_its_first_call(status: int, count: int) -> None:
    calls = [SimpleNamespace(exchange=answered(status)), SimpleNamespace(exchange=answered(404))]
    assert len(said(discovery.a_listed_service_can_be_called(service(calls=calls)))) == count
    assert said(discovery.a_listed_service_can_be_called(service())) == []


@for_rows(
    ("status", "body", "wrong"),
    [
        (200, png(100), []),
        (200, png(64), ["the icon has 64 x 64 pixels"]),
        (200, png(100, alpha=True), ["the icon has an alpha channel"]),
        (200, png(100).replace(b"IDAT", b"tRNS"), ["the icon has an alpha channel"]),
        (200, b"GIF89a" + b"0" * 40, ["the icon is no PNG"]),
        (200, png(100)[:25], ["the icon is no PNG"]),
        (200, png(100)[:26], []),
        (200, png(100)[:23] + b"\x63" + png(100)[24:], ["the icon has 100 x 99 pixels"]),
    ],
)
def test_an_icon_is_a_png_of_its_size_without_an_alpha_channel(status: int, body: bytes, wrong: list[str]) -> None:
    card = {"source": {"label": "x", "icon": "https://a/icon.png"}}
    call = SimpleNamespace(exchange=answered(200, json.dumps({"cards": [card]}).encode()))
    asked: list[Any] = []

    def get(*path: Any, **more: Any) -> Exchange:
        asked.append((path, more))
        return answered(status, body)

    of_server = service(calls=[call, call], connection=SimpleNamespace(base="https://a", get=get))
    assert said(cards.an_icon_is_a_png_of_100_by_100(of_server)) == wrong
    assert asked == [(("/icon.png", "the icon of a source"), {"authenticated": False})]
    elsewhere = service(calls=[call], connection=SimpleNamespace(base="https://b", get=get))
    reason = "not tested: no icon on this server's own address was seen"
    assert said(cards.an_icon_is_a_png_of_100_by_100(elsewhere)) == [reason]


def test_a_category_as_an_object_changes_no_card() -> None:
    sent = {"prefetch": {"orders": {"resourceType": "ServiceRequest", "category": [{"text": "lab"}]}}}
    other = answered(200, b'{"cards": [{"summary": "y"}]}')

    def judged(*answers: Exchange, sent: Any = sent) -> list[str]:
        call = SimpleNamespace(sent=sent)
        return said(epic.category_as_an_object_is_read(service(*answers, calls=[call], as_new=dict)))

    assert judged(answered(200), answered(200)) == []
    assert judged(other, answered(200)) == ["the cards differ from those with category as an array"]
    assert len(judged(answered(500), answered(200))) == 1
    assert judged(sent={}) == ["not tested: s asks for nothing that has a category"]
