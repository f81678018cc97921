"""The Medications that orders refer to: what a search brings, what it could not, and how deep mixtures are followed."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from cds_hooks.prefetch.state import KeyState
from fhir.client.client import FetchResult
from fhir.client.errors import FetchError
from fhir.record.refusals import Refusal
from tests.cds_hooks.prefetch.test_fetch_engine import _medication, _order, _request
from tests.cds_hooks.prefetch.test_fill import ORDERS, RESULTS, _fill, _lean, _Server

DRAFTED = replace(ORDERS, key="drafted")
KNOWN = KeyState(ORDERS, "given", sent_as="medications", text="as sent")


def _asked_for(*references: str) -> Any:
    orders = _lean(*(_order(number, f"Medication/{name}") for number, name in enumerate(references)))
    return structs.replace(_request("http://127.0.0.1:9/fhir"), prefetch={"medications": orders})


class _Mixtures(_Server):
    """Each search brings the next one of these answers."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self._waiting = list(answers)

    async def fetch(self, query: Any, key: str, *, keeps: bool = False) -> FetchResult:
        self.asked.append((query.form, key, keeps))
        return self._answer(self._waiting.pop(0))


def test_what_a_search_for_medications_brought_and_refused_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    value, refusal = _lean(_medication("far")), Refusal("Medication/x", "unreadable", "It cannot be read.")
    server = _Mixtures(FetchResult(value, (refusal,), 1, 10))
    call = _fill(server, monkeypatch, KNOWN, request=_asked_for("far"))
    assert server.asked == [("_id=far&_count=1", "medications", False)]
    assert call.values["(medications referred to) 1"] is value
    assert call.refusals == [refusal]
    assert call.states == {"medications": KNOWN}


def test_medications_that_did_not_come_make_the_orders_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    late, cut = FetchError("it took too long"), KeyState(DRAFTED, "given", "partial", "cut", "sent in part")
    labs = KeyState(RESULTS, "given", text="as sent")
    call = _fill(_Mixtures(late), monkeypatch, KNOWN, cut, labs, request=_asked_for("far"))
    assert call.states["medications"].text == "1 medication is only referred to; it took too long"
    assert set(call.values) == {"medications"}
    assert (call.states["drafted"], call.states["labs"]) == (cut, labs)


def test_what_fails_at_a_deeper_level_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Mixtures(FetchResult(_lean(_medication("a", "b", "c")), (), 1, 10), FetchError("it took too long"))
    call = _fill(server, monkeypatch, KNOWN, request=_asked_for("a"))
    assert call.states["medications"].text == "2 medications are only referred to; it took too long"
