"""What each stage hands on, member by member: what is asked of the parts of the server, and what is recorded."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import orjson
import pytest

from cards.card import Action, Card, Source
from cards.extension import EXTENSION_KEY, CardExtension, FindingReference, WorklistEntry
from cds_hooks.answer import (
    Advised,
    Answered,
    Received,
    ReceivedBody,
    Recording,
    Selected,
    Understood,
    _cards_of,
    _refusal,
    advise,
    checked_call,
    choose_versions,
    complete,
    hold_back,
    invoke,
    read,
    understand,
    write,
)
from cds_hooks.call import Call, Stopwatch, open_call
from cds_hooks.errors import CallTimedOut, HookError, PreconditionFailed, RecordFailed
from cds_hooks.hold_back.budgets import VisitRank
from cds_hooks.hold_back.checks import CheckedCall, Chosen
from cds_hooks.hold_back.sent_cards import Caller
from cds_hooks.model_versions import in_use
from cds_hooks.packages import finding_of_package
from cds_hooks.prefetch.fetch import FilledPrefetch
from cds_hooks.services import Advice
from cds_hooks.storage.decision import Decision, RecordUnavailable, StoredChart
from fhir.record.refusals import WhyNot
from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.replay.answered import site
from tests.each import for_rows

Json = dict[str, Any]
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def opened(service: str = PLANNING, **changes: Any) -> Call:
    (client,) = site().clients.values()
    call = open_call(site().services[service], client, site().components, "01a0a0a0-0000-7000-8000-000000000000", 9)
    return msgspec.structs.replace(call, as_of=NOW, **changes)


def asked(**changes: Any) -> Json:
    return request_for(PLANNING, "patient-view", "planning-talk", NOW) | changes


def body_of(request: Json) -> ReceivedBody:
    return ReceivedBody(orjson.dumps(request))


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[Answered] = []
        self.refused: list[tuple[Received | None, HookError]] = []

    async def take(self, _call: Call, answer: Answered) -> None:
        self.taken.append(answer)

    async def refuse(self, _call: Call, received: Received | None, error: HookError) -> None:
        self.refused.append((received, error))


# The whole way


def answered(call: Call, request: Json) -> tuple[Answered, Kept]:
    sink = Kept()
    return asyncio.run(invoke(call, body_of(request), sink)), sink


def test_a_call_without_its_patient_is_refused_and_recorded_with_what_is_known() -> None:
    request = asked()
    request["prefetch"].pop("patient")
    sink, call = Kept(), opened()
    with pytest.raises(PreconditionFailed) as refused:
        asyncio.run(invoke(call, body_of(request), sink))
    assert sink.taken == []
    ((received, error),) = sink.refused
    assert error is refused.value
    assert received is not None
    decision = _refusal(call, received, error)
    assert (decision.id, decision.hook, decision.service, decision.hook_instance) == (
        call.decision_id, "patient-view", PLANNING, request["hookInstance"],
    )  # fmt: skip
    assert (decision.client, decision.patient, decision.user_id) == (call.client.name, "planning-talk", "")
    assert (decision.outcome, decision.models) == ("error", b"[]")
    outcome = orjson.loads(decision.response)
    assert (outcome["resourceType"], outcome["id"]) == ("OperationOutcome", call.decision_id)
    basis = orjson.loads(decision.basis)
    assert basis["silence"] == [["prefetch.patient", "required-data-missing", error.text]]
    assert "patient" in orjson.dumps(basis["prefetch"]).decode()


def test_a_call_whose_time_was_over_before_it_was_read_is_recorded_as_one_of_nobody() -> None:
    call = opened()
    for error, silence in (
        (CallTimedOut("It took too long."), ["call", "timed-out", "It took too long."]),
        (PreconditionFailed("x is missing."), ["prefetch", "required-data-missing", "x is missing."]),
        (PreconditionFailed("x is missing.", "context"), ["context", "required-data-missing", "x is missing."]),
    ):
        decision = _refusal(call, None, error)
        assert (decision.hook, decision.hook_instance, decision.patient, decision.user_id) == ("", "", "", "")
        basis = orjson.loads(decision.basis)
        assert basis["silence"] == [silence]
        assert basis["prefetch"] == {}
        assert "trace" not in basis
    traced = msgspec.structs.replace(call, trace=cast("Any", SimpleNamespace(recorded={"trace": "t"})))
    assert orjson.loads(_refusal(traced, None, CallTimedOut("x")).basis)["trace"] == {"trace": "t"}


# Read


def _read(request: Json, **released: Any) -> Received:
    acts = SimpleNamespace(why_off=lambda *_: released.get("off"), states={})
    return read(opened(released=acts), body_of(request))


def test_nothing_is_computed_for_a_service_that_is_switched_off_or_for_a_patient() -> None:
    assert _read(asked()).no_advice is None
    off = _read(asked(), off="It was switched off.")
    assert off.no_advice == WhyNot(PLANNING, "switched-off", "It was switched off.")
    request = asked()
    request["context"]["userId"] = "Patient/planning-talk"
    mine = _read(request)
    assert mine.no_advice is not None
    assert mine.no_advice.subject == PLANNING
    for received in (off, mine):
        assert received.is_complete


def test_a_request_is_complete_where_no_key_is_missing() -> None:
    request = asked()
    assert _read(request).is_complete
    request["prefetch"].pop("conditions")
    assert not _read(request).is_complete
    assert _read(request, off="x").is_complete


def test_what_was_received_gives_its_memory_back_and_keeps_the_states() -> None:
    received = _read(asked())
    body, state = cast("ReceivedBody", received.source), received.filled.state
    first = body._body
    assert body.originals(received.filled) == (first,)
    assert body.originals(FilledPrefetch({}, state, bodies=(b"page",))) == (first, b"page")
    received.release()
    assert (received.request.prefetch, received.filled) == ({}, FilledPrefetch({}, state))
    assert body.originals(received.filled) == (b"",)


@for_rows(
    ("key", "user", "roles"),
    [("userRole", "Practitioner/1", ("pharmacist",)), ("who", "Practitioner/1", ("pharmacist",)), ("who", None, ())],
)
def test_what_the_user_works_as_is_read_of_every_key_of_a_client_with_own_names(
    key: str, user: str | None, roles: tuple[str, ...]
) -> None:
    code = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/practitioner-role", "code": "pharmacist"}]}
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/1"}, "code": [code]}
    received = _read(asked(prefetch={"patient": asked()["prefetch"]["patient"], key: role}))
    context = msgspec.structs.replace(received.request.context, user_id=user)
    request = msgspec.structs.replace(received.request, context=context)
    state = cast("Any", SimpleNamespace(looked_up={"PractitionerRole"}))
    filled = FilledPrefetch(received.request.prefetch, state)
    assert received.source.roles_of_user(opened(), request, filled) == roles


# Complete


def _completed(*, is_complete: bool, trace: Any = None) -> tuple[list[Any], list[Any], Received]:
    call = opened()
    noted: list[Any] = []
    fetched: list[Any] = []
    received = _read(asked())
    found = msgspec.structs.replace(received.filled, fetched_bytes=70) if is_complete else received.filled

    async def fill(*given: Any) -> FilledPrefetch:
        fetched.append(given)
        return msgspec.structs.replace(received.filled, fetched_bytes=99)

    turn = SimpleNamespace(
        has_waited=lambda: noted.append("waited"), weigh=lambda *sizes: noted.append(("weighed", *sizes))
    )
    metrics = SimpleNamespace(prefetched=lambda *given: noted.append(("prefetched", *given)))
    parts = SimpleNamespace(fetching=SimpleNamespace(fill=fill), metrics=metrics)
    made = msgspec.structs.replace(
        call, turn=cast("Any", turn), components=cast("Any", parts), trace=trace, stages=Stopwatch(None)
    )
    result = asyncio.run(complete(made, msgspec.structs.replace(received, is_complete=is_complete, filled=found)))
    return noted, fetched, result


def test_what_is_missing_is_fetched_for_this_client_as_of_this_day() -> None:
    trace = SimpleNamespace(headers={"traceparent": "t"})
    noted, (given,), result = _completed(is_complete=False, trace=trace)
    assert result.filled.fetched_bytes == 99
    assert noted[:2] == ["waited", ("weighed", 99, 0)]
    assert given[2:] == (opened().client, NOW.date(), "2.0", frozenset(), {"traceparent": "t"})
    assert _completed(is_complete=False)[1][0][-1] is None


# Understand


def test_where_there_will_be_no_advice_nothing_is_read() -> None:
    received = _read(asked(), off="It was switched off.")
    chart = understand(opened(), received)
    assert chart.no_advice == WhyNot(PLANNING, "switched-off", "It was switched off.")
    assert (chart.record.patient_id, chart.record.conditions, list(chart.originals)) == ("planning-talk", (), [])
    assert chart.prefetch is received.filled.state


# Advise


def _chart(call: Call, request: Json | None = None) -> Understood:
    return understand(call, read(call, body_of(request or asked())))


def test_a_service_that_is_not_asked_gives_its_reason() -> None:
    silence = WhyNot("x", "switched-off", "It is off.")
    chart = msgspec.structs.replace(_chart(opened()), no_advice=silence)
    advised = asyncio.run(advise(opened(), chart))
    assert advised.advice == Advice(silences=[silence])
    assert advised.checked.caller.patient == "planning-talk"


# Hold back


def _selected(advice: Advice, checked: CheckedCall, **of_call: Any) -> tuple[Selected, bool]:
    """What is shown, and whether the checks could ask the other services."""
    asks_others: list[bool] = []

    async def held_back(_: Any, checks: Any) -> Chosen:
        asks_others.append(checks.others is not None)
        return Chosen()

    made: dict[str, Any] = {
        "components": SimpleNamespace(governance=SimpleNamespace(choose=held_back), services={"s": "service"}),
        "client": SimpleNamespace(profile=SimpleNamespace(dialect=SimpleNamespace(id="plain"))),
        "service": SimpleNamespace(visit_rank=VisitRank.FINDING, packages_with=lambda *_: ()),
        "stages": Stopwatch(None),
        "turn": SimpleNamespace(compute_async=print),
        "from_event": False,
        "is_trial": False,
    }
    call = SimpleNamespace(**(made | of_call))
    advised = Advised(cast("Any", SimpleNamespace(unread=[])), advice, checked, "c")
    return asyncio.run(hold_back(cast("Any", call), advised)), asks_others[0]


def _checked(silent: str | None = None) -> CheckedCall:
    return CheckedCall(Caller("ehr", "p1", "s", "order-sign"), 0.0, silent=silent)


@pytest.mark.parametrize("silent", [None, "Nothing is shown to this ward."])
def test_changes_that_the_client_makes_itself_are_held_back_in_silent_mode(silent: str | None) -> None:
    action = Action(type="update", description="d", resource={"resourceType": "Task", "id": "t"})
    selected, _ = _selected(Advice(system_actions=[action]), _checked(silent))
    assert list(selected.system_actions) == ([action] if silent is None else [])
    assert selected.silences == ([] if silent is None else [WhyNot("systemActions", "silent-mode", silent)])
    advised = msgspec.structs.replace(selected.advised, understood=_chart(opened()))
    written = write(opened(), msgspec.structs.replace(selected, advised=advised))
    assert written.decision.outcome == ("cards" if silent is None else "silent")
    without, _ = _selected(Advice(), _checked(silent))
    assert without.silences == []


def test_changes_that_the_client_makes_itself_are_held_back_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    withheld = WhyNot("p", "shadow", "It is not approved.")
    monkeypatch.setattr("cds_hooks.answer.why_package_withheld", lambda _: withheld)
    selected, _ = _selected(Advice(system_actions=[Action(type="update", description="d")]), _checked())
    assert (list(selected.system_actions), selected.silences) == ([], [withheld])
    assert _selected(Advice(), _checked())[0].silences == []


@pytest.mark.parametrize(
    ("findings", "reason", "times"),
    [
        ((), "declined", 1),
        ((), "acknowledged", 2),
        ((FindingReference("dz-hf-tzd", "hf"),), "below-threshold", 2),
    ],
)
def test_what_another_service_advises_is_kept_where_nothing_of_it_can_rest(
    findings: Any, reason: str, times: int
) -> None:
    asked_of: list[Any] = []

    async def decide(given: Any) -> Advice:
        asked_of.append(given)
        extension = {EXTENSION_KEY: CardExtension(findings=findings)}
        card = Card(uuid="1", summary="s", indicator="info", source=Source(label="x"), extension=extension)
        entry = WorklistEntry(test="t", purpose="p", because="offered-before")
        why_not = WhyNot("r", reason, "It was answered.")
        return Advice(cards=[card], visit_rank=VisitRank.TIME_BOUND, reminders={"1": entry}, silences=[why_not])

    call = opened()
    call = msgspec.structs.replace(call, service=dataclasses.replace(call.service, decide=decide))
    advised = asyncio.run(advise(opened(), _chart(opened())))
    for _ in range(2):
        assert [card.rank for card in asyncio.run(_cards_of(call, advised, "cards"))] == [VisitRank.TIME_BOUND]
    assert len(asked_of) == times


def test_an_answered_finding_is_recorded_with_its_silence_where_the_service_hands_that_on() -> None:
    finding, checked = finding_of_package("r"), _checked()
    kept, dropped = (WhyNot("r", "acknowledged", text) for text in "kd")
    checked.answered += [(finding, dropped), (finding, kept)]
    selected, _ = _selected(Advice(silences=[WhyNot("x", "y", "z"), kept]), checked)
    assert [met.place for met in selected.met] == [1]


@for_rows(
    ("hook", "of_call", "asks"),
    [
        ("patient-view", {}, True),
        ("order-sign", {}, False),
        ("patient-view", {"from_event": True}, False),
        ("patient-view", {"is_trial": True}, False),
    ],
)
def test_only_a_call_of_an_opened_chart_asks_what_the_other_services_show(hook: str, of_call: Any, asks: bool) -> None:
    checked = CheckedCall(Caller("ehr", "p1", "s", hook), 0.0)
    assert _selected(Advice(), checked, **of_call)[1] is asks
    assert checked.others is None
    _selected(Advice(visit_rank=VisitRank.TALK), checked, **of_call)
    assert checked.visit_rank == VisitRank.TALK


def test_the_checks_are_told_who_calls_about_whom() -> None:
    call = opened(from_event=True, silent_user="Nobody looks.")
    chart = _chart(opened())
    checked = checked_call(call, chart)
    caller = checked.caller
    assert (caller.client, caller.patient, caller.service, caller.hook) == (
        call.client.name, "planning-talk", PLANNING, "patient-view",
    )  # fmt: skip
    assert (checked.as_of, checked.from_event, checked.silent) == (NOW.timestamp(), True, "Nobody looks.")
    acts = SimpleNamespace(silent_mode=lambda *given: f"{given[0]} {given[2]}", states={})
    silent = checked_call(msgspec.structs.replace(call, released=cast("Any", acts)), chart)
    assert silent.silent == f"{call.client.name} {chart.request.context.user_id}"
    assert not checked_call(opened(), chart).from_event


def test_without_acts_of_release_the_version_in_use_answers() -> None:
    assert choose_versions(opened(released=SimpleNamespace(states={})), "p") is in_use
    chosen: list[Any] = []

    def chooser(*given: Any) -> str:
        chosen.append(given)
        return "chooser"

    call = opened()
    parts = SimpleNamespace(versions=SimpleNamespace(chooser=chooser), models=SimpleNamespace(why_withheld="why"))
    released = SimpleNamespace(states={"m": "s"})
    made = msgspec.structs.replace(call, components=cast("Any", parts), released=cast("Any", released))
    assert cast("Any", choose_versions(made, "p")) == "chooser"
    assert chosen == [(released, call.client.name, "p", "why")]


# The record


def test_what_is_committed_is_counted_and_what_is_not_is_no_advice() -> None:
    noted: list[Any] = []
    committed: list[Decision] = []

    async def append(decision: Decision, chart: StoredChart | None) -> None:
        assert decision.chart == (chart.hash if chart is not None else None)
        committed.append(decision)

    async def failing(_: Decision, _chart: StoredChart | None) -> None:
        raise RecordUnavailable("no room")

    call = opened()
    answer, _ = answered(call, asked())
    basis = orjson.loads(answer.decision.basis)
    assert not {"chart", "withheld"} & basis.keys(), "the chart is recorded beside it, and nothing is withheld"
    parts = SimpleNamespace(
        decisions=SimpleNamespace(append=append),
        governance=SimpleNamespace(note_shown=lambda *given: noted.append(("shown", *given))),
        metrics=SimpleNamespace(
            answered=lambda *given: noted.append(("answered", *given)),
            not_understood=lambda *given: noted.append(("not understood", given[0])),
        ),
        users=call.components.users,
    )
    said: list[Any] = []
    trace = SimpleNamespace(
        say=lambda **given: said.append(given), count_prefetch=lambda states: said.append(set(states)), recorded=None
    )
    made = msgspec.structs.replace(
        call, components=cast("Any", parts), trace=cast("Any", trace), stages=Stopwatch(None)
    )
    asyncio.run(Recording().take(made, answer))
    assert committed == [answer.decision]
    cards, silences = answer.selected.cards, answer.selected.silences
    assert noted[0] == ("shown", cards, answer.selected.advised.checked)
    assert noted[1] == ("answered", PLANNING, "patient-view", cards, silences, made.stages.seconds)
    assert noted[2] == ("not understood", call.client.name)
    assert list(made.stages.seconds) == ["record"]
    size = len(answer.decision.response)
    assert said[0] == {"hook": "patient-view", "cards": 1, "silences": len(silences), "bytes": size}
    asyncio.run(Recording().refuse(made, None, CallTimedOut("It took too long.")))
    assert [decision.outcome for decision in committed] == ["cards", "error"]
    parts.decisions = SimpleNamespace(append=failing)
    for work in (Recording().take(made, answer), Recording().refuse(made, None, CallTimedOut("x"))):
        with pytest.raises(RecordFailed, match=r"^The decision could not be recorded, so no advice is given\. Try"):
            asyncio.run(cast("Any", work))
    assert len(noted) == 3
