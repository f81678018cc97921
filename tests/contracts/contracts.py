"""The tests themselves: each argument is a part, or pytest's own; `parametrize.py` gives the parts.

Calls in process: a server of its own, and the requests that a client would send for the sample patients.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Set
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
import orjson
import pytest

from cards.card import Card, check_card
from cards.extension import EXTENSION_KEY
from cds_hooks.call.services import Service, every_service, find_services
from cds_hooks.people.pages.doors import Door
from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.record.record import read_record
from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import Equation, equation_digest, get_equation
from models_onnx.errors import EquationRefused
from tests.contracts.markup import faults
from tests.contracts.sample_calls import SAMPLE_CALLS, sample_cards
from tests.each import some_of

SAMPLE_NAMES: Final = [f"{specimen.service} {specimen.hook} {specimen.patient}" for specimen in SAMPLE_CALLS]
READ_WHERE_SENT: Final = {
    "Consent",
    "Flag",
    "MedicationDispense",
    "MedicationAdministration",
    "DiagnosticReport",
    "Observation",
    "Medication",
}
"""Consents and flags are asked for by a setting of the site; the others add to what is known where a client sends them,
and services that cannot do without them ask for them."""
_READ_BY_SERVICE: Final = {
    "statin-discussion": {"Procedure"}  # a delivery ends a pregnancy; without it no statin is suggested for longer
}
_NUMBER: Final = re.compile(r"\d{4}-\d\d-\d\d|\d+(?:[.,]\d+)*")
_ADDRESS: Final = re.compile(r"https?://\S+")
_HTML: Final = {"accept": "text/html"}


def answers_to(requests: list[dict[str, Any]], service: str, folder: Path, as_of: datetime) -> list[httpx.Response]:
    """Return what one server answers to these calls, in their order."""
    configured = Settings(database_url=f"sqlite:///{folder / 'record.sqlite3'}", as_of=as_of)

    async def call() -> list[httpx.Response]:
        async with open_client(configured) as client:
            return [await client.post(f"/cds-services/{service}", json=request) for request in requests]

    return asyncio.run(call())


# Services


def test_a_service_says_who_it_is_for_and_asks_for_the_patient_first(service: str) -> None:
    declared = _every()[service]
    assert declared.title
    assert declared.description.endswith(".")
    assert declared.usage_requirements
    assert declared.templates[0].key == "patient"


@pytest.mark.sampled
def test_every_card_keeps_the_specification_and_every_silence_has_a_reason(
    service: str, hook: str, tmp_path: Path
) -> None:
    answers = answers_to(some_of(requests_of(service, hook), 5), service, tmp_path, AS_OF)
    assert {answer.status_code for answer in answers} <= {200, 412}, [answer.text for answer in answers]
    answered = [answer.json() for answer in answers if answer.status_code == 200]
    assert answered
    for response in answered:
        for card in response["cards"]:
            check_card(msgspec.convert(card, Card))
        if not response["cards"] and not response.get("systemActions"):
            ours = response["extension"][EXTENSION_KEY]
            assert ours.get("silence") or ours["looked"]
            assert all(silence["reason"] and silence["text"] for silence in ours.get("silence", ()))


@pytest.mark.sampled
def test_the_same_call_has_the_same_answer_whatever_was_asked_before(service: str, hook: str, tmp_path: Path) -> None:
    requests = some_of(requests_of(service, hook)[:5], 2)  # from then on what this client does not call takes no place
    folders = (tmp_path / "forwards", tmp_path / "backwards")
    for folder in folders:
        folder.mkdir()
    forwards = answers_to(requests, service, folders[0], AS_OF)
    backwards = answers_to(requests[::-1], service, folders[1], AS_OF)[::-1]
    assert [without_ids(answer.json()) for answer in forwards] == [without_ids(answer.json()) for answer in backwards]


@pytest.mark.sampled
def test_resources_that_the_service_does_not_name_in_its_needs_change_nothing(
    service: str, hook: str, tmp_path: Path
) -> None:
    """What was not asked for is empty in most calls, and would look like "none on record"."""
    named = READ_WHERE_SENT | _READ_BY_SERVICE.get(service, set()) | _every()[service].needs.resources
    requests = some_of(requests_of(service, hook)[:6], 3)
    with_more = [request | {"prefetch": request["prefetch"] | _not_named(request, named)} for request in requests]
    folders = (tmp_path / "asked", tmp_path / "more")
    for folder in folders:
        folder.mkdir()
    asked, more = (
        answers_to(calls, service, folder, AS_OF) for calls, folder in zip((requests, with_more), folders, strict=True)
    )
    assert [without_ids(answer.json()["cards"]) for answer in asked] == [
        without_ids(answer.json()["cards"]) for answer in more
    ]


def _not_named(request: dict[str, Any], named: Set[str]) -> dict[str, Any]:
    """Return every resource of all sample patients, as this patient's, whose type the service does not name."""
    patient = request["context"]["patientId"]
    entries: list[dict[str, Any]] = []
    for sample in list_samples():
        resources = chart_of(sample.id, AS_OF).resources
        unnamed = [resource for resource in resources if resource["resourceType"] not in named | {"Patient"}]
        entries.extend({"resource": _of_patient(resource, str(patient), sample.id)} for resource in unnamed)
    return {"everything": {"resourceType": "Bundle", "type": "collection", "entry": entries}}


def _of_patient(resource: dict[str, Any], patient: str, sample: str) -> dict[str, Any]:
    reference = {"reference": f"Patient/{patient}"}
    changed: dict[str, Any] = {name: reference for name in ("subject", "patient", "beneficiary") if name in resource}
    return {**resource, **changed, "id": f"{sample}-{resource.get('id')}"}


def test_a_patient_is_shown_nothing(service: str, hook: str, tmp_path: Path) -> None:
    """Not a card, not a worklist entry, and one reason, which tells nothing: services are for clinicians."""
    for user in ("Patient/1", "RelatedPerson/2"):
        requests = [
            request | {"context": request["context"] | {"userId": user}} for request in requests_of(service, hook)[:6]
        ]
        for answer in answers_to(requests, service, tmp_path, AS_OF):
            extension = answer.json()["extension"][EXTENSION_KEY]
            assert answer.json()["cards"] == []
            assert [silence["reason"] for silence in extension["silence"]] == ["not-for-this-user"]
            assert "worklist" not in extension


# Dialects


@cache
def _sent(dialect: str) -> dict[str, list[dict[str, Any]]]:
    """Return the cards of each sample call as this dialect sends them, by its name."""
    cards = sample_cards(Settings(public_url="https://cds.example"), dialect, AS_OF)
    return dict(zip(SAMPLE_NAMES, cards, strict=True))


def _read(card: dict[str, Any]) -> str:
    """Return everything of a card that is read."""
    texts = [card["summary"], card.get("detail", "")]
    for suggestion in card.get("suggestions", ()):
        texts += [suggestion["label"], *(action["description"] for action in suggestion.get("actions", ()))]
    return _ADDRESS.sub("", "\n".join(texts))


def test_numbers_and_dates_are_the_same(dialect: str, sample: str) -> None:
    numbers, published = (
        [sorted(set(_NUMBER.findall(_read(card)))) for card in _sent(name)[sample]] for name in (dialect, "standard")
    )
    assert numbers == published


def test_summary_urgency_and_source_are_the_same(dialect: str, sample: str) -> None:
    for card, published in zip(_sent(dialect)[sample], _sent("standard")[sample], strict=True):
        assert (card["summary"], card["indicator"]) == (published["summary"], published["indicator"])
        assert card["source"]["label"] == published["source"]["label"]


def test_whatever_can_be_accepted_or_read_as_to_do_is_there(dialect: str, sample: str) -> None:
    for card, published in zip(_sent(dialect)[sample], _sent("standard")[sample], strict=True):
        text = _read(card).replace("\\", "")
        for suggestion in published["suggestions"]:
            assert suggestion["label"] in text
            # Epic adds nothing to an update but splits it, so the words of the correction stand in the new order.
            assert all(action["description"] in text for action in suggestion["actions"])


def test_nothing_that_is_sent_is_null_or_empty(dialect: str) -> None:
    """GEN-03 to GEN-05: a member without a value is left out."""
    empty = [path for cards in _sent(dialect).values() for card in cards for path in _empty_members(card, "card")]
    assert empty == []


def _empty_members(value: Any, path: str) -> Iterator[str]:
    if value is None or value in ("", [], {}):
        yield path
    for name, member in value.items() if isinstance(value, dict) else ():
        yield from _empty_members(member, f"{path}.{name}")
    for member in value if isinstance(value, list) else ():
        yield from _empty_members(member, f"{path}[]")


# Features and equations


def test_a_feature_reads_every_sample_patient_or_says_why_not(feature: str) -> None:
    declared = FEATURES[feature]
    assert declared.lint() == []
    for sample in list_samples():
        chart = chart_of(sample.id, AS_OF)
        entries = [{"resource": resource} for resource in chart.resources if resource is not chart.patient]
        prefetch = {"patient": chart.patient, "rest": {"resourceType": "Bundle", "entry": entries}}
        value = declared.read(read_record(prefetch, str(chart.patient["id"]), AS_OF))
        assert isinstance(value, FeatureValue | Missing)
        if isinstance(value, FeatureValue):
            assert declared.plausible_low <= value.value <= declared.plausible_high


def test_a_feature_of_an_empty_chart_that_nobody_asked_for_is_not_known(feature: str) -> None:
    record = read_record({}, "p", AS_OF).with_requested(frozenset())
    value = FEATURES[feature].read(record)
    assert isinstance(value, Missing), "it has a value although nothing was asked for"


def test_an_equation_refuses_every_input_beyond_its_limits_by_name(equation: str) -> None:
    declared: Equation = get_equation(equation)
    assert equation_digest(declared)
    values = {item.name: _value_within(declared, item.name) for item in declared.inputs}
    for item in declared.inputs:
        for limit, step in ((item.low, -1), (item.high, 1)):
            if limit is not None:
                _refuses(declared, values | {item.name: limit + step}, item.name)
        if not item.for_outputs:
            _refuses(declared, {name: value for name, value in values.items() if name != item.name}, item.name)


def _value_within(declared: Equation, name: str) -> Any:
    item = declared.input(name)
    if item.choices:
        return item.choices[0]
    if item.low is None or item.high is None:
        return False
    return round((item.low + item.high) / 2)


def _refuses(declared: Equation, values: dict[str, Any], name: str) -> None:
    refused_inputs: tuple[str, ...] | None = None
    try:
        calculate(declared, values)
    except EquationRefused as refused:
        refused_inputs = refused.inputs
    assert refused_inputs is not None, f"{declared.id} takes {name} = {values.get(name)}"
    assert name in refused_inputs, f"the refusal of {name} names {refused_inputs}"


# Pages


def test_a_page_is_whole_and_loads_nothing_from_elsewhere(door: Door, tmp_path: Path) -> None:
    answer = asyncio.run(_opened(door, Settings(database_url=f"sqlite:///{tmp_path / 'record.sqlite3'}")))
    assert answer.status_code == 200, answer.text
    assert faults(answer.text) == []


def test_a_page_is_closed_to_whoever_has_not_logged_in(door: Door, tmp_path: Path) -> None:
    configured = Settings(database_url=f"sqlite:///{tmp_path / 'record.sqlite3'}", login="accounts")
    answer = asyncio.run(_opened(door, configured))
    assert answer.status_code == (303 if door.roles is not None else 200)


async def _opened(door: Door, configured: Settings) -> httpx.Response:
    async with open_client(configured) as client:
        return await client.get(door.path, headers=_HTML)


AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
"""The instant at which every test takes place; the sample patients are dated by it."""
ORDER_HOOKS: Final = ("order-select", "order-sign")


@asynccontextmanager
async def open_client(configured: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of a server with these settings, whose faults are answers."""
    transport = httpx.ASGITransport(app=create_app(configured), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def request_for(service: str, hook: str, sample: str, as_of: datetime, draft: str | None = None) -> dict[str, Any]:
    """Return the request that a client would send for a sample patient, built from the service's own templates.

    Raises:
        ChartError: The patient cannot be at this hook, as one without a stay at a discharge.
    """
    request: dict[str, Any] = orjson.loads(_written_request(service, hook, sample, as_of, draft))
    return request | {"hookInstance": str(uuid4())}


def counted(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request about a patient of the client who has this chart: calls about samples are trials."""
    sample = request["context"]["patientId"]
    changed: dict[str, Any] = orjson.loads(
        orjson.dumps(request).replace(b'%s"' % sample.encode(), b'%s-own"' % sample.encode())
    )
    return changed


def counted_request_for(
    service: str, hook: str, sample: str, as_of: datetime, draft: str | None = None
) -> dict[str, Any]:
    """Return what `request_for` does, about a patient of the client."""
    return counted(request_for(service, hook, sample, as_of, draft))


def requests_of(service: str, hook: str, as_of: datetime = AS_OF) -> list[dict[str, Any]]:
    """Return a call for each sample patient; at the order hooks one for each draft of the sample."""
    requests = []
    for sample in list_samples():
        for draft in [order.draft for order in sample.orders] if hook in ORDER_HOOKS else [None]:
            with suppress(ChartError):
                requests.append(request_for(service, hook, sample.id, as_of, draft))
    return requests


@cache
def _every() -> Mapping[str, Service]:
    return every_service(find_services())


@cache
def _written_request(service: str, hook: str, sample: str, as_of: datetime, draft: str | None) -> bytes:
    """Built once: some ten thousand tests' calls are of the same thousand requests, of 9 ms each."""
    entry = next(entry for entry in _every()[service].discovery() if entry["hook"] == hook)
    chart = chart_of(sample, as_of)
    drafts = drafts_for(chart, resources_of(load_draft(draft, as_of))) if draft else []
    return orjson.dumps(build_request(entry, chart, drafts))


@cache
def chart_of(sample: str, as_of: datetime) -> Chart:
    """Return the chart of a sample patient."""
    return Chart(resources_of(load_patient(sample, as_of)))


def without_ids(answer: Any) -> Any:
    """Return the answer without the identifiers that are new in every call."""
    if isinstance(answer, dict):
        return {name: without_ids(value) for name, value in answer.items() if name not in ("uuid", "decision", "id")}
    if isinstance(answer, list):
        return [without_ids(value) for value in answer]
    return answer.partition("/explain/")[0] if isinstance(answer, str) else answer
