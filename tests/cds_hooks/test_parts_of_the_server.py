"""Small parts of the server by themselves: settings, traces, clocks, counts, errors; on and beside their limits."""

import gc
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NoOpTracer
from pydantic import ValidationError

from cards.rules.engine.governance import SiteRules
from cds_hooks import errors
from cds_hooks.app import _in_force
from cds_hooks.call import Stopwatch
from cds_hooks.computing import CallUnderWay, Computing, refuse_late
from cds_hooks.configuration import ANSWERING, InForce, _files_below
from cds_hooks.decision_history import decision_history
from cds_hooks.errors import HookError, Overloaded, operation_outcome
from cds_hooks.hold_back.releases import Released
from cds_hooks.memory import no_collection
from cds_hooks.metrics.counts import Metrics
from cds_hooks.routes.health import models_out
from cds_hooks.settings import SETTINGS, Settings
from cds_hooks.settings.checks import (
    address_fault,
    listen_address,
    networks_of,
    parts_of,
    read_codes,
    read_shares,
)
from cds_hooks.storage.decision import Decision, card_uuid, new_decision_id, numbered_uuid, part_uuid
from cds_hooks.tracing import CallTrace
from fhir.record.refusals import Refusal
from tests.cds_hooks.calls import ORDERS, client, ours, request_for
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.cds_hooks.storage.samples import a_decision, some_feedback
from tests.each import for_rows

# Settings

_DEFAULTS: Final = {
    "call_seconds": 20, "cors_origins": "loopback", "database_url": "sqlite:///var/decisions.sqlite3",
    "dialect": "standard", "drain_seconds": 3, "explain_pages": "operator", "keep_facts": True,
    "kfre_region": "north_america", "login": "none", "model_state": "validated", "opt_out_flags": "", "packages": "",
    "public_url": "http://127.0.0.1:8085", "record_user": "hashed", "shown_rest_days": 14, "trusted_proxies": "",
}  # fmt: skip
"""Every default that is a number, a text or a yes or no, as docs/settings.md lists them."""


def test_every_default_of_the_settings_is_the_documented_one() -> None:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    plain = {name: value for name, value in defaults.items() if isinstance(value, bool | int | float | str)}
    assert plain == _DEFAULTS


@for_rows(
    ("name", "good", "bad"),
    [
        ("shown_rest_days", (0, 90), (-1, 91)),
        ("call_seconds", (0.001, 600), (0, 601)),
        ("drain_seconds", (0, 300), (-0.1, 301)),
        ("operator_token", ("x" * 16,), ("x" * 15,)),
        ("explain_link_key", ("x" * 32,), ("x" * 31,)),
    ],
)
def test_a_setting_is_read_up_to_its_bounds(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    for value in good:
        Settings(**{name: value})
    for value in bad:
        with pytest.raises(ValidationError):
            Settings(**{name: value})


_HOST = "an address begins with http:// or https:// and a host"
_MORE = "an address here has no user name, query, fragment or space"


@for_rows(
    ("text", "fault"),
    [
        ("https://a.example", None),
        ("https://a.example:8443/x", None),
        ("http://[::1]:80", None),
        ("https://a.example:0", "the host or port of the address is none"),
        ("https://a.example:99999", "this is not an address"),
        ("https://a_b.example", "the host or port of the address is none"),
        ("ftp://a.example", _HOST),
        ("https://", _HOST),
        ("a.example", _HOST),
        ("https://user@a.example", _MORE),
        ("https://a.example?x=1", _MORE),
        ("https://a.example#x", _MORE),
        ("https://a.example/a b", _MORE),
    ],
)
def test_an_address_is_http_of_a_host_and_nothing_else(text: str, fault: str | None) -> None:
    assert address_fault(text) == fault


@for_rows(
    ("text", "address"),
    [
        ("127.0.0.1:9085", ("127.0.0.1", 9085)),
        ("[::1]:1", ("::1", 1)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("127.0.0.1:65536", None),
        ("127.0.0.1:0", None),
        ("127.0.0.1:x", None),
        ("127.0.0.1:²", None),
        ("localhost:80", None),
        ("unix:/run/x.sock", ("/run/x.sock", None)),
        ("unix:run", None),
    ],
)
def test_where_the_operator_is_listened_for(text: str, address: tuple[str, int | None] | None) -> None:
    assert listen_address(text) == address


def test_lists_in_one_text_are_divided_by_commas() -> None:
    assert parts_of(" a, b ,,c ") == ["a", "b", "c"]
    assert [str(network) for network in networks_of("10.0.0.0/8, ::1")] == ["10.0.0.0/8", "::1/128"]
    assert read_shares("0.1, mortality_5y=0.05, age-band") == {"": 0.1, "mortality_5y": 0.05}
    assert read_shares("0.5") == {"": 0.5}
    assert Settings(alert_share="0.1, mortality_5y=0.05").shares_by_model == {"mortality_5y": 0.05}
    for wrong in ("0.51", "0", ".0", "1", "x", "a=0.1,a=0.2", "0.1,0.2"):
        with pytest.raises(ValueError, match=r"is no share|comes twice"):
            read_shares(wrong)
    assert read_codes("s|a, t|b") == {("s", "a"), ("t", "b")}
    assert read_codes("") == frozenset()
    with pytest.raises(ValueError, match="is no system with a code"):
        read_codes("s|a, b")


# Time and turns


def test_a_stage_is_timed_in_seconds_and_told_in_milliseconds() -> None:
    watch = Stopwatch(None)
    watch.end("read")
    assert watch.milliseconds == {"read": round(watch.seconds["read"] * 1000, 3)}
    watch.seconds["read"] = 0.0123456
    assert watch.milliseconds == {"read": 12.346}
    trace = CallTrace(INVALID_SPAN_CONTEXT, NoOpTracer())
    told = Stopwatch(trace)
    told.end("read")
    assert [name for name, _, _ in trace._stages] == ["read"]


@for_rows(
    ("size", "orders", "alone", "beside"),
    [
        (1024 * 1024, 0, True, True),
        (1024 * 1024 - 1, 0, False, True),
        (0, 12 * 1024, True, True),
        (0, 12 * 1024 - 1, False, True),
        (128 * 1024, 0, False, True),
        (128 * 1024 - 1, 0, False, False),
        (0, 2 * 1024, False, True),
        (0, 2 * 1024 - 1, False, False),
    ],
)
def test_how_large_a_call_is_depends_on_its_neighbours(size: int, orders: int, *, alone: bool, beside: bool) -> None:
    now = [100.0]
    computing = Computing(10, lambda: now[0])
    try:
        computing.begin_call("a")
        computing.begin_call("a")
        assert computing.is_large(size, orders) is alone
        computing.begin_call("b")
        assert computing.is_large(size, orders) is beside
        now[0] += 0.999
        assert computing.is_large(size, orders) is beside
        now[0] += 0.001
        assert computing.is_large(size, orders) is alone
        under_way = CallUnderWay(computing, "a", 0)
        under_way.weigh(size, orders)
        assert under_way._is_large is alone
        for client in ("a", "a", "b"):
            computing.end_call(client)
        assert computing._under_way == {}
    finally:
        computing.close()


def test_a_call_that_waited_longer_than_its_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cds_hooks.computing.monotonic", lambda: 105.0)
    refuse_late(100.0)
    with pytest.raises(Overloaded):
        refuse_late(99.999)


def test_the_collector_is_off_meanwhile_and_afterwards_as_before() -> None:
    assert gc.isenabled()
    with no_collection():
        assert not gc.isenabled()
        with no_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_absent_model_is_told_with_what_its_service_answers() -> None:
    first, second = (SimpleNamespace(name=name, reason="x") for name in ("a", "b"))
    service = SimpleNamespace(id="s", models=(first, second), absent_models=(first, second))
    assert models_out({"s": cast("Any", service)}) == [
        {"model": "a", "service": "s", "reason": "x", "answers": "503"},
        {"model": "b", "service": "s", "reason": "x", "answers": "without this model"},
    ]


# Counts


def test_what_is_not_understood_is_counted_by_code_and_the_thousandth_as_other() -> None:
    metrics = Metrics()
    refusals = [
        Refusal("problems", "problems-unreadable", "x", code="http://snomed.info/sct|73211009 text"),
        Refusal("problems", "another-reason", "x", code="text"),
    ]
    metrics.not_understood("ehr", refusals, ["http://www.nlm.nih.gov/research/umls/rxnorm|1"])
    assert metrics.counts == {
        ("cds_not_understood", "ehr", "problems", "73211009"): 1,
        ("cds_not_understood", "ehr", "problems", "text"): 1,
        ("cds_not_understood", "ehr", "medications", "1"): 1,
    }
    rxnorm = [f"http://www.nlm.nih.gov/research/umls/rxnorm|{number}" for number in range(1, 1003)]
    metrics.not_understood("ehr", [], rxnorm)
    labels = {key[-1]: count for key, count in metrics.counts.items() if key[2] == "medications"}
    assert labels["1"] == 2
    assert labels["998"] == 1
    assert "999" not in labels
    assert labels["other"] == 4


# Errors

_FIVE, _ONE, _ENDS = (b"retry-after", b"5"), (b"retry-after", b"1"), (b"connection", b"close")


@for_rows(
    ("error", "status", "code", "headers"),
    [
        (errors.BadRequest, 400, "invalid", ()),
        (errors.TooDeep, 400, "too-long", ()),
        (errors.Forbidden, 403, "forbidden", ()),
        (errors.NotFound, 404, "not-found", ()),
        (errors.MethodNotAllowed, 405, "not-supported", ((b"allow", b"POST"),)),
        (errors.RequestTimeout, 408, "timeout", (_ENDS,)),
        (errors.PreconditionFailed, 412, "required", ()),
        (errors.PayloadTooLarge, 413, "too-long", ()),
        (errors.BodyTooLarge, 413, "too-long", (_ENDS,)),
        (errors.UnsupportedMediaType, 415, "not-supported", ()),
        (errors.MisdirectedRequest, 421, "forbidden", ()),
        (errors.TooManyCalls, 429, "throttled", (_ONE,)),
        (errors.Overloaded, 503, "throttled", (_ONE,)),
        (errors.CallTimedOut, 503, "timeout", (_FIVE,)),
        (errors.RecordFailed, 503, "transient", (_FIVE,)),
        (errors.ModelNotServed, 503, "exception", ()),
        (errors.ReplayStoreFailed, 503, "transient", (_FIVE,)),
        (errors.NotAllowed, 403, "forbidden", ()),
        (HookError, 500, "exception", ()),
    ],
)
def test_every_error_has_its_status_code_and_headers(
    error: type[HookError], status: int, code: str, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert (error.status, error.code, error.headers) == (status, code, headers)
    outcome = json.loads(operation_outcome(error("What to do.", "context"), "call-1"))
    assert outcome == {
        "resourceType": "OperationOutcome", "id": "call-1",
        "issue": [{"severity": "fatal" if status >= 500 else "error", "code": code, "details": {"text": "What to do."},
                   "diagnostics": "What to do.", "expression": ["context"]}],
    }  # fmt: skip
    assert "expression" not in json.loads(operation_outcome(error("x")))["issue"][0]
    assert "id" not in json.loads(operation_outcome(error("x")))


def test_every_401_has_the_same_body_and_the_reason_is_not_in_it() -> None:
    bodies = {operation_outcome(errors.Untrusted(reason, "ehr"), "id") for reason in ("replayed", "expired")}
    assert bodies == {errors.operation_outcome(errors.Untrusted("no-token"))}
    assert b"replayed" not in bodies.pop()
    assert errors.Untrusted.headers == ((b"www-authenticate", b"Bearer"),)


def made(**members: Any) -> Any:
    return SimpleNamespace(**members)


@pytest.mark.parametrize(
    ("rules", "approvals", "expected"),
    [
        (None, None, [("switches", 2), ("pending", 0)]),
        ({"approved": 5, "not_approved": 1}, "book",
         [("rules-approved", 5), ("rules-not-approved", 1), ("switches", 2), ("pending", 3)]),
    ],
)  # fmt: skip
def test_what_people_have_signed_is_counted(rules: Any, approvals: Any, expected: list[tuple[str, int]]) -> None:
    states = {name: made(state=name) for name in ("off", "shadow", "active")}
    components = made(
        governance=made(approval_counts=lambda: rules),
        releases=made(current=made(states=states), waiting_for_second=lambda: [1, 2, 3]),
    )
    assert _in_force(components, approvals) == expected


_HOW_MUCH_AND_HOW_LONG = {
    "call_seconds", "drain_seconds",
}  # fmt: skip
_WHERE_THINGS_ARE = {
    "content_keys", "database_url", "events_file", "explain_link_key", "model_signing_key",
    "seal_command", "seal_key", "user_keys",
}  # fmt: skip
_WHO_MAY_SEE_AND_CALL = {
    "cors_origins", "oidc_file", "operator_listen", "operator_token", "record_user", "trust_file", "trusted_proxies",
}  # fmt: skip
_WATCHED_AND_KEPT = {"keep_facts"}
_IN_FORCE_BY_WHAT_THEY_BRING = {
    # files of models, rules, hooks and people, whose content is in force by its digests
    "model_keys", "models_folder", "packages", "rules_file", "site_rules", "text_file",
    # the clock, which every decision records
    "as_of",
}  # fmt: skip


def test_every_setting_is_said_to_change_answers_or_not_to() -> None:
    others = (
        _HOW_MUCH_AND_HOW_LONG
        | _WHERE_THINGS_ARE
        | _WHO_MAY_SEE_AND_CALL
        | _WATCHED_AND_KEPT
        | _IN_FORCE_BY_WHAT_THEY_BRING
    )
    assert others.isdisjoint(ANSWERING)
    assert others | set(ANSWERING) == set(SETTINGS)


ID = new_decision_id()
ACCEPTED: Any = {"outcome": "accepted", "override_reason_code": None, "user_comment": None}


def order_card(*labels: str) -> dict[str, Any]:
    """A card of orders, whose suggestions are counted together with the cards and orders of the whole answer."""
    suggestions = [{"label": label, "uuid": numbered_uuid(ID, 7 + number)} for number, label in enumerate(labels)]
    return {
        "uuid": part_uuid(card_uuid(ID, 4), 2), "summary": "Metformin: eGFR 25", "indicator": "critical",
        "source": {"label": "s"}, "suggestions": suggestions,
    }  # fmt: skip


def recorded(*cards: dict[str, Any], silence: Any = ()) -> Decision:
    """A decision with these cards."""
    basis = {"as_of": "2026-11-20T09:00:00+00:00", "silence": silence}
    return a_decision(id=ID, response=json.dumps({"cards": cards}).encode(), basis=json.dumps(basis).encode())


def test_what_nobody_answered_is_said_and_what_the_answer_did_not_have_is_never_taken_for_another() -> None:
    card = order_card("Cancel this order")
    assert decision_history(recorded(card), []).lines == ("Metformin: eGFR 25: No answer is on record",)
    foreign = some_feedback(ID, **ACCEPTED, card=card["uuid"], accepted_suggestions=("x",))
    elsewhere = some_feedback(ID, card=card_uuid(ID, 9))
    history = decision_history(recorded(card), [foreign, elsewhere])
    assert history.advised[0].answers[0].chosen == ("suggestion x, which the card did not offer",)
    assert history.advised[1].summary == f"Card {card_uuid(ID, 9)}, which this answer did not have"


def test_what_was_held_back_is_told_with_its_reason_and_what_was_not_found_is_not() -> None:
    silence = [["rule", "switched-off", "It is off."], ["model", "below-threshold", "It is low."]]
    history = decision_history(recorded(silence=silence), [])
    assert [reason.subject for reason in history.withheld] == ["rule"]
    assert history.lines == ("Held back: It is off.",)


@pytest.mark.parametrize("choice", [0, 1])
async def test_the_page_names_the_suggestion_that_was_accepted(tmp_path: Path, choice: int) -> None:
    async with client(tmp_path, as_of=AS_OF) as calls:
        body = request_for(ORDERS, "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        answer = await calls.post(f"/cds-services/{ORDERS}", json=body)
        decision, card = ours(answer)["decision"], answer.json()["cards"][0]
        chosen, other = card["suggestions"][choice], card["suggestions"][1 - choice]
        accepted = {"acceptedSuggestions": [{"id": chosen["uuid"]}], "outcomeTimestamp": "2026-11-20T09:20:00Z"}
        feedback = {"feedback": [{"card": card["uuid"], "outcome": "accepted", **accepted}]}
        assert (await calls.post(f"/cds-services/{ORDERS}/feedback", json=feedback)).status_code == 200
        page = await calls.get(f"/explain/{decision}", headers={"accept": "text/html"})
    assert f"Followed ({chosen['label']})" in page.text
    assert f"Followed ({other['label']})" not in page.text


def test_what_is_in_force_is_made_anew_only_where_something_changed_and_has_no_compiled_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    governance, released = SimpleNamespace(site=SiteRules()), Released()
    in_force = InForce(lambda: {"code": {"x": "1"}}, cast("Any", governance))
    assert in_force.digest_with(released) == ""
    in_force.start()
    digest, content = in_force.digest_with(released), in_force.content
    assert (in_force.digest_with(released), in_force.content) == (digest, content)
    assert in_force.content is content
    in_force.digest_with(released := Released())
    assert in_force.content is not content
    monkeypatch.setattr("cds_hooks.configuration.in_use", lambda: SimpleNamespace(words={"map": "x"}))
    in_force.digest_with(released)
    assert in_force.content["terminology"] == {"map": "x"}
    (tmp_path / "__pycache__").mkdir()
    for name in ("a.py", "a.pyc", "__pycache__/a.txt"):
        (tmp_path / name).touch()
    assert list(_files_below("x", str(tmp_path))) == [("x/a.py", str(tmp_path / "a.py"))]
