"""Relations between answers: what a change of a call that means nothing may change in its answer is nothing.

Each relation is tried with every service at every hook: with one call in `make test`, with three in the slow
tests. What may differ is declared beside the relation, with the reason.
"""

import asyncio
import csv
import re
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson
import pytest

from cards.rules.families.pairs.family import PAIRS, Pair
from cds_hooks.tools.kit.simulator.chart import move_dates
from fhir.terminology.country import own_country
from tests.cds_hooks.call.services.chart_cases import AS_OF, drug, patient
from tests.cds_hooks.call.services.test_every_service import CALLS, requests_of, without_ids
from tests.cds_hooks.calls import ORDERS, client
from tests.conftest import ROOT
from tests.each import for_each, some_of
from tests.fhir.builders import concept, medication_order, observation

Json = dict[str, Any]
_NEW_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ORDER_HOOKS: Final = ("order-select", "order-sign")
_CALLS: Final = 3
"""So many calls of a service at a hook are tried; in `make test` one."""
_URGENCY: Final = ("info", "warning", "critical")
_YEAR: Final = 364
"""Whole weeks, so that no day of the week changes, and nearly a year, so that seasons stay."""
_MICROMOL_OF_MG: Final = 88.42
"""Of creatinine: µmol/L of one mg/dL (molar mass 113.12 g/mol)."""
_POUNDS_OF_KG: Final = 1 / 0.45359237
"""International avoirdupois pound (NIST Handbook 44, appendix C)."""


_BARE: Final[dict[str, Json]] = {
    "Condition": {"resourceType": "Condition"},
    "DiagnosticReport": {"resourceType": "DiagnosticReport", "status": "final", "code": {}},
    "Encounter": {"resourceType": "Encounter", "status": "finished", "class": {}},
    "Observation": {"resourceType": "Observation", "status": "final", "code": {}},
    "Procedure": {"resourceType": "Procedure", "status": "completed"},
    "ServiceRequest": {"resourceType": "ServiceRequest", "status": "active", "intent": "order"},
}
"""Resources with what FHIR R4 requires of them and nothing else: they say nothing, and take no call down."""


@dataclass(frozen=True)
class Relation:
    """A change of a call, and what of the answer stays as it was."""

    change: Callable[[Json], Json]
    """Of a whole request; it may change the copy that it is given."""
    shown: Callable[[Json], Any] = lambda answer: answer
    """What of an answer is compared; the whole, where nothing is declared."""
    back: Callable[[str], str] = lambda text: text
    """Takes back in the text of the answer what the change renamed."""
    days: int = 0
    """The server's clock is moved by so many days for the changed call."""
    hooks: tuple[str, ...] = ()
    """The hooks that have what is changed; all, where none is named."""
    without: frozenset[str] = field(default_factory=frozenset)
    """The services of which it is not true, each with its reason beside the relation."""


def _bundles(request: Json) -> Iterable[Json]:
    values = [*request["prefetch"].values(), request["context"].get("draftOrders")]
    return (value for value in values if isinstance(value, dict) and value.get("resourceType") == "Bundle")


def _results(request: Json) -> list[Json]:
    entries = [entry for bundle in _bundles(request) for entry in bundle.get("entry", [])]
    return [entry["resource"] for entry in entries if entry["resource"]["resourceType"] == "Observation"]


def _irrelevant(request: Json) -> Json:
    """A result that nobody reads, one that was retracted, and an entry without any optional member, in every Bundle."""
    code, patient = concept("Colour of the eyes", "eye-colour", "urn:oid:2.999.1"), request["context"]["patientId"]
    result = observation(code, when="2025-11-02", patient=patient, id="irrelevant", valueString="brown")
    retracted = observation("2160-0", 9.9, "mg/dL", patient=patient, id="retracted", status="entered-in-error")
    for bundle in _bundles(request):
        kinds = sorted({entry["resource"]["resourceType"] for entry in bundle.get("entry", [])})
        bare = [_BARE[kind] | {"id": f"bare-{kind}"} for kind in kinds if kind in _BARE]
        for resource in (*([result, retracted] if "Observation" in kinds else []), *bare):
            bundle["entry"].append({"resource": resource | {"subject": {"reference": f"Patient/{patient}"}}})
            bundle.pop("total", None)
    return request


def _reversed_entries(request: Json) -> Json:
    for key, value in request["prefetch"].items():
        if isinstance(value, dict) and value.get("resourceType") == "Bundle" and key != "draftOrders":
            value["entry"] = value.get("entry", [])[::-1]
    return request


def _reversed_keys(value: Any) -> Any:
    """Members in the other order, in every object of the call."""
    if isinstance(value, dict):
        return {name: _reversed_keys(member) for name, member in reversed(value.items())}
    return [_reversed_keys(item) for item in value] if isinstance(value, list) else value


def _reversed_drafts(request: Json) -> Json:
    drafts = request["context"]["draftOrders"]
    drafts["entry"] = drafts["entry"][::-1]
    if "selections" in request["context"]:
        request["context"]["selections"] = request["context"]["selections"][::-1]
    return request


def _with_entries(request: Json, change: Callable[[list[Any]], list[Any]]) -> Json:
    """Other entries in the prefetch; no Bundle says how many there are, or half of it would be told to be partial."""
    prefetch = {
        key: {"resourceType": "Bundle", "type": "searchset", "entry": change(value.get("entry", []))}
        if isinstance(value, dict) and value.get("resourceType") == "Bundle"
        else value
        for key, value in request["prefetch"].items()
    }
    return request | {"prefetch": prefetch}


def _doubled(request: Json) -> Json:
    return _with_entries(request, lambda entries: [*entries, *deepcopy(entries)])


def _under_two_keys(request: Json) -> Json:
    again = {f"{key}Again": value for key, value in request["prefetch"].items() if "entry" in (value or {})}
    return request | {"prefetch": request["prefetch"] | deepcopy(again)}


def _in_parts(request: Json) -> Json:
    """The second half of every Bundle under a key of its own, as a client sends the pages of a search."""
    first = _with_entries(request, lambda entries: entries[: len(entries) // 2])["prefetch"]
    second = _with_entries(request, lambda entries: entries[len(entries) // 2 :])["prefetch"]
    rest = {f"{key}Rest": value for key, value in second.items() if (value or {}).get("resourceType") == "Bundle"}
    return request | {"prefetch": first | rest}


def _renamed(request: Json) -> Json:
    """Every id and every relative reference of the call, but who asks."""

    def rename(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            renamed = {member: rename(item, member) for member, item in value.items()}
            if "resourceType" in value and "id" in value:
                renamed["id"] = f"renamed-{value['id']}"
            return renamed
        if isinstance(value, list):
            return [rename(item, name) for item in value]
        if name in ("patientId", "encounterId"):
            return f"renamed-{value}"
        if name in ("reference", "selections", "order", "dispatchedOrders") and isinstance(value, str):
            return re.sub(r"^(#|(?!Practitioner|Organization)[A-Z][A-Za-z]+/)", r"\1renamed-", value)
        return value

    renamed: Json = rename(request)
    return renamed | {"hookInstance": request["hookInstance"]}


def _other_units(request: Json) -> Json:
    """Creatinine of serum in µmol/L and weights in pounds."""
    factors = {
        ("2160-0", "mg/dL"): (_MICROMOL_OF_MG, "umol/L"),
        ("29463-7", "kg"): (_POUNDS_OF_KG, "[lb_av]"),
        ("3141-9", "kg"): (_POUNDS_OF_KG, "[lb_av]"),
    }
    for result in _results(request):
        quantity, code = result.get("valueQuantity"), result.get("code")
        if not isinstance(quantity, dict) or not isinstance(code, dict):
            continue  # a sample with broken entries
        for coding in code.get("coding", []):
            key = (str(coding.get("code")), str(quantity.get("code", quantity.get("unit"))))
            factor, unit = factors.get(key, (0, ""))
            if factor and not isinstance(quantity["value"], str):
                quantity |= {"value": round(quantity["value"] * factor, 3), "unit": unit, "code": unit}
                break
    return request


def _drafted(request: Json, name: str, drug: str, dosage: str) -> Json:
    draft = {"patient": request["context"]["patientId"], "id": name, "dosageInstruction": [{"text": dosage}]}
    return {"resource": medication_order(drug, status="draft", **draft)}


def _with_carrier(request: Json) -> Json:
    """An order of saline beside the others, as a carrier of a drug is written."""
    drug, dosage = "sodium chloride 0.9 % infusion, 100 mL", "100 mL IV over 30 minutes as carrier"
    request["context"]["draftOrders"]["entry"].append(_drafted(request, "carrier", drug, dosage))
    return request


def _neighbour(request: Json) -> Json:
    """An ointment of zinc oxide before the orders, which touches none of them."""
    ointment = _drafted(request, "neighbour", "zinc oxide 20 % ointment", "apply to the skin once daily")
    request["context"]["draftOrders"]["entry"].insert(0, ointment)
    return request


def _something_later(request: Json) -> Json:
    """A result and a problem that are dated a month after the server's clock."""
    later: dict[str, Json] = {
        "Observation": {"status": "final",
                        "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}], "text": "Creatinine"},
                        "effectiveDateTime": "2027-11-20T08:00:00Z",
                        "valueQuantity": {"value": 6.1, "unit": "mg/dL", "system": "http://unitsofmeasure.org",
                                          "code": "mg/dL"}},
        "Condition": {"clinicalStatus": {"coding": [{"code": "active"}]}, "code": {"text": "Heart failure"},
                      "onsetDateTime": "2027-11-20", "recordedDate": "2027-11-20"},
    }  # fmt: skip
    for bundle in _bundles(request):
        kinds = {entry["resource"]["resourceType"] for entry in bundle.get("entry", [])}
        for kind in kinds & later.keys():
            subject = {"reference": f"Patient/{request['context']['patientId']}"}
            resource = {"resourceType": kind, "id": f"later-{kind}", "subject": subject, **later[kind]}
            bundle["entry"].append({"resource": resource})
            bundle.pop("total", None)
    return request


def _another_client(request: Json) -> Json:
    """Another clinician in another call."""
    request["context"]["userId"] = "Practitioner/somebody-else"
    return request | {"hookInstance": "00000000-0000-4000-8000-00000000abcd"}


def _as_before(text: str) -> str:
    """Orders that are offered are in the name of who asks."""
    return text.replace("Practitioner/somebody-else", "Practitioner/cds-hooks-call")


def _in_words(request: Json) -> Json:
    """Problems by their text alone, where there is one."""
    for bundle in _bundles(request):
        for entry in bundle.get("entry", []):
            code = entry["resource"].get("code", {})
            if entry["resource"]["resourceType"] == "Condition" and code.get("text"):
                code.pop("coding", None)
    return request


def _decided(answer: Json) -> Any:
    """The cards whole, and of what is silent its subjects and reasons.

    Of two entries that say the same, the first that came is named; an entry that cannot be read is told by its first
    wrong member.
    """
    extension = answer["extension"]["org.cds-hooks-onnx"] if "extension" in answer else {}
    silences = sorted((silence["subject"], silence["reason"]) for silence in extension.get("silence", []))
    return _without_entries(answer["cards"]), silences, extension.get("worklist")


def _without_entries(value: Any) -> Any:
    """Cards without the resource that a value was read from."""
    if isinstance(value, dict):
        return {
            name: _without_entries(member)
            for name, member in value.items()
            if name != "source" or not isinstance(member, str)
        }
    return [_without_entries(item) for item in value] if isinstance(value, list) else value


def _cards(answer: Json) -> Any:
    return [(card["indicator"], card["summary"], _labels(card)) for card in answer["cards"]]


def _labels(card: Json) -> list[str]:
    return [suggestion["label"] for suggestion in card.get("suggestions", [])]


def _kinds_of_cards(answer: Json) -> Any:
    """Indicators and buttons, without the figures of the sentences."""
    return [(card["indicator"], re.sub(r"[\d.,]+", "#", card["summary"])) for card in answer["cards"]]


def _urgencies(answer: Json) -> Any:
    return [(card["indicator"], _labels(card)) for card in answer["cards"]]


def _cards_in_any_order(answer: Json) -> Any:
    return sorted(_cards(answer))


RELATIONS: Final[dict[str, Relation]] = {
    "an irrelevant result": Relation(_irrelevant, _cards),  # the extension counts what was not read
    "entries in the other order": Relation(_reversed_entries, _decided),
    "members in the other order": Relation(_reversed_keys, _decided),
    # Findings of equal weight stand in the order of the drafts, as the clinician wrote them.
    "drafts in the other order": Relation(_reversed_drafts, _cards_in_any_order, hooks=_ORDER_HOOKS),
    "every entry twice": Relation(_doubled),
    "every Bundle under two keys": Relation(_under_two_keys),
    "Bundles in two parts": Relation(_in_parts),
    "ids renamed": Relation(_renamed, back=lambda text: text.replace("renamed-", "")),
    # Dates stand in sentences; schedules of vaccines and the seasons of influenza and RSV are by the calendar.
    "all dates and the clock a year later": Relation(
        lambda request: move_dates(request, _YEAR),
        _kinds_of_cards,
        days=_YEAR,
        without=frozenset({"vaccines-due", "preventive-services"}),
    ),
    "other units": Relation(_other_units, _urgencies),  # a value is shown as it was sent
    "a carrier fluid beside the orders": Relation(_with_carrier, _cards, hooks=_ORDER_HOOKS),
    "another order that touches none": Relation(_neighbour, _cards, hooks=_ORDER_HOOKS),
    "something dated later": Relation(_something_later, _cards),  # the extension names what was left out
    "another clinician": Relation(_another_client, back=_as_before),
    "problems in words": Relation(_in_words, _kinds_of_cards),
}


async def _answers(
    calls: list[tuple[str, Json]], folder: Path, as_of: datetime, back: Callable[[str], str]
) -> list[Json]:
    answers = []
    async with client(folder, as_of=as_of) as server:
        for service, request in calls:
            reply = await server.post(f"/cds-services/{service}", json=request)
            assert reply.status_code in (200, 412), reply.text
            answer = without_ids(orjson.loads(back(_NEW_ID.sub("", reply.text))))
            answers.append({"cards": [], **answer})
    return answers


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, Json]]:
    """The calls that all relations change."""
    chosen = []
    for service, hook in CALLS:
        requests = requests_of(service, hook)  # of its own chance: a new service leaves the calls of the others
        of_hook = some_of(Random(service).sample(requests, min(_CALLS, len(requests))), _CALLS)
        chosen += [(service, _with_entries(request, list)) for request in of_hook]
    return chosen


@pytest.fixture(scope="module")
def answered(calls: list[tuple[str, Json]], tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """The answers to the calls as they are."""
    answers = asyncio.run(_answers(calls, tmp_path_factory.mktemp("before"), AS_OF, str))
    assert any(answer["cards"] for answer in answers)
    return answers


@pytest.mark.sampled
@pytest.mark.parametrize("name", RELATIONS)
def test_what_means_nothing_changes_nothing(
    name: str, calls: list[tuple[str, Json]], answered: list[Json], tmp_path: Path
) -> None:
    relation = RELATIONS[name]
    concerned = [
        (call, before)
        for call, before in zip(calls, answered, strict=True)
        if call[0] not in relation.without and (not relation.hooks or call[1]["hook"] in relation.hooks)
    ]
    changed = [(service, relation.change(deepcopy(request))) for (service, request), _ in concerned]
    after = asyncio.run(_answers(changed, tmp_path, AS_OF + timedelta(days=relation.days), relation.back))

    def compare(one: Json, other: Json) -> None:
        assert relation.shown(other) == relation.shown(one)

    cases = zip(concerned, after, strict=True)
    for_each(((f"{service} {_sample(request)}", (one, other)) for ((service, request), one), other in cases), compare)


def _sample(request: Json) -> str:
    return f"{request['hook']} {request['context']['patientId']}"


def _pairs() -> list[Json]:
    """The rows of the table of pairs that name two ingredients, not classes, hold in this country and may speak."""
    path = ROOT / "cards/rules/families/pairs/pairs.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    sides = [[zip(row[one].split(";"), row[f"{one}_key"].split(";"), strict=True) for one in "ab"] for row in rows]
    return [
        row
        | {"a": a, "a_key": a_key, "b": b, "b_key": b_key}
        | _as_its_source_allows(row, PAIRS[frozenset((a_key, b_key))])
        for row, of_row in zip(rows, sides, strict=True)
        for (a, a_key), (b, b_key) in product(*of_row)
        if (a_key + b_key).isdigit() and own_country().holds(row["country"]) and frozenset((a_key, b_key)) in PAIRS
    ]


def _as_its_source_allows(row: Json, pairs: Sequence[Pair]) -> Json:
    """A critical row is a warning where no row of the two rests on a source that may show more."""
    return {} if any(pair.severity == "critical" for pair in pairs) or row["severity"] != "critical" else WARNING


WARNING: Json = {"severity": "warning"}


def _order_of(row: Json, drafted: str, taken: str) -> Json:
    """An order of one side for an adult of 50 who takes the other."""
    who = {"subject": {"reference": "Patient/pair"}}
    order = drug(row[drafted], row[f"{drafted}_key"], status="draft") | who | {"id": "drafted"}
    active = drug(row[taken], row[f"{taken}_key"]) | who | {"id": "taken"}
    medications = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": active}]}
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}
    return {
        "hook": "order-sign",
        "hookInstance": "00000000-0000-4000-8000-00000000abcd",
        "context": {"userId": "Practitioner/dr1", "patientId": "pair", "draftOrders": drafts},
        "prefetch": {"patient": patient(50, "male") | {"id": "pair"}, "medications": medications},
    }


def _of_the_pair(answer: Json, row: Json) -> set[str]:
    """How urgent the cards are that name both sides; other rules may name them, too."""
    sides = [row[side].casefold().partition(" ")[0] for side in ("a", "b")]
    texts = [(card["indicator"], f"{card['summary']} {card.get('detail')}".casefold()) for card in answer["cards"]]
    return {indicator for indicator, text in texts if all(side in text for side in sides)}


def _compare_pairs(rows: list[Json], folder: Path) -> None:
    calls = [(ORDERS, _order_of(row, *sides)) for row in rows for sides in (("a", "b"), ("b", "a"))]
    answers = asyncio.run(_answers(calls, folder, AS_OF, str))

    def compare(row: Json, one: Json, other: Json) -> None:
        # what is a warning where it is begun: the drafts here are new
        least = _URGENCY.index("warning" if row["severity"] == "start" else row["severity"])
        told = [
            any(_URGENCY.index(urgency) >= least for urgency in _of_the_pair(answer, row)) for answer in (one, other)
        ]
        assert told in ([True, True], [not row["unless"]] * 2)

    cases = zip(rows, answers[::2], answers[1::2], strict=True)
    for_each(((f"{row['a']} {row['b']}", (row, one, other)) for row, one, other in cases), compare)


@pytest.mark.sampled
def test_whichever_of_two_is_ordered_the_card_is_as_urgent(tmp_path: Path) -> None:
    _compare_pairs(some_of(_pairs(), 80), tmp_path)
