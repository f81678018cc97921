"""Coverage requirements at the order: the given cases, look-alikes, and what the protocol and CRD ask."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.coverage.policy import SYSTEMS, load_policies
from cds_hooks.kit.simulator.fhir_search import prefetch_from
from cds_hooks.security.trust import TrustedClient
from cds_hooks.services import _coverage
from cds_hooks.services.coverage_requirements import SERVICE as DECLARED
from fhir.terminology.analytes import ANALYTES
from tests.cds_hooks.calls import client
from tests.cds_hooks.services.coverage_calls import (
    COPD,
    COVERED,
    DIABETES,
    ENDED,
    HOSPITAL,
    HYPERTENSION,
    INSULIN,
    LISTED,
    OPEN,
    PACKS,
    SATISFIED,
    SERVICE,
    SIXTY,
    SLEEP,
    SMOKER,
    Json,
    ahi,
    answer_of,
    ask,
    authorization,
    bundle,
    chart,
    check_answers,
    concept,
    condition,
    coverage,
    decided,
    entry_for,
    extensions_of,
    former,
    medication,
    order,
    patient,
    procedure,
    reasons_of,
    request_of,
    result,
    saturation,
    visit,
    wrong_answers,
)
from tests.cds_hooks.services.test_crd_requirements import own_folder

CASES: Mapping[str, tuple[Json, list[Json], Json]] = {
    # dates: the list in force on the day of service
    "the day before a code joins the list": (order("L1844", "2026-04-12"), chart(), COVERED),
    "the day it joins": (order("L1844", "2026-04-13"), chart(), LISTED),
    "the last day on the list": (order("L1833", "2024-08-11"), chart(), LISTED),
    "the day it has left": (order("L1833", "2024-08-12"), chart(), COVERED),
    "a suspension, its last day before": (order("E0748", "2024-08-27"), chart(who=patient(state="PA")), LISTED),
    "a suspension, its first day": (order("E0748", "2024-08-28"), chart(who=patient(state="PA")), COVERED),
    "another state": (order("E0748", "2024-08-20"), chart(who=patient(state="TX")), COVERED),
    "a state in words": (order("E0747", "2024-08-20"), chart(who=patient(state="Florida")), LISTED),
    "no state known": (
        order("E0748", "2024-08-20"),
        chart(who=patient(state="")),
        {"covered": "conditional", "pa-needed": "conditional", "doc-needed": "clinical", "info-needed": ["location"]},
    ),
    "a span of days around a change": (
        order("L1844", "", occurrencePeriod={"start": "2026-04-01", "end": "2026-04-30"}),
        chart(),
        {"covered": "conditional", "pa-needed": "conditional", "info-needed": ["timeframe"]},
    ),
    "no day of service: today": (order("L1844", ""), chart(), LISTED),
    # codes that look alike
    "E0651 is asked for": (order("E0651"), chart(condition("I89.0")), LISTED),
    "E0676 is no benefit": (order("E0676"), chart(condition("I89.0")), {"covered": "not-covered"}),
    "E0676 with an affirmed number": (
        order("E0676"),
        chart(authorization("E0676", "2026-09-01", "2027-02-01")),
        {"covered": "not-covered"},
    ),
    "a code that nobody has rules for": (order("99999"), chart(), {}),
    "a code in small letters": (
        order("L5856") | {"codeCodeableConcept": concept(SYSTEMS["HCPCS"], "l5856")},
        chart(),
        LISTED,
    ),
    "HCPCS by its object identifier": (
        order("L5856") | {"codeCodeableConcept": concept("urn:oid:2.16.840.1.113883.6.285", "L5856")},
        chart(),
        LISTED,
    ),
    "a laboratory test is no coarse order": (
        order("G0103") | {"code": concept("http://loinc.org", "58410-2", "CBC")},
        chart(),
        {},
    ),
    "words only": (
        order("K0823") | {"codeCodeableConcept": {"text": "Power wheelchair"}},
        chart(),
        {
            "covered": "conditional", "pa-needed": "conditional", "doc-needed": "clinical",
            "info-needed": ["OTH"], "reason": ["detail-code"],
        },
    ),
    # places
    "off-campus hospital": (order("64493", place="19"), chart(), HOSPITAL),
    "an office": (order("64493", place="11"), chart(), COVERED),
    "inpatient": (order("15823", place="21"), chart(), COVERED),
    "a code that left the list in August 2024": (order("64492", place="22"), chart(), COVERED),
    "the toxin alone": (order("J0585", place="22"), chart(), COVERED),
    # prior authorization
    "affirmed and valid": (order("K0823"), chart(authorization("K0823", "2026-09-01", "2027-02-28")), SATISFIED),
    "its last day": (
        order("K0823", "2027-02-28"), chart(authorization("K0823", "2026-09-01", "2027-02-28")), SATISFIED,
    ),
    "the day after": (order("K0823", "2027-03-01"), chart(authorization("K0823", "2026-09-01", "2027-02-28")), LISTED),
    "before it begins": (
        order("K0823", "2026-08-31"), chart(authorization("K0823", "2026-09-01", "2027-02-28")), LISTED,
    ),
    "no end, within the days of the policy": (
        order("K0823"), chart(authorization("K0823", "2026-09-01", None)), SATISFIED,
    ),
    "no end, beyond them": (order("K0823"), chart(authorization("K0823", "2026-01-05", None)), LISTED),
    "not affirmed": (order("K0823"), chart(authorization("K0823", "2026-10-01", "2027-03-01", "A3")), LISTED),
    "partly affirmed": (order("K0823"), chart(authorization("K0823", "2026-10-01", "2027-03-01", "A2")), LISTED),
    "pending": (order("K0823"), chart(authorization("K0823", "2026-10-01", "2027-03-01", "A4")), LISTED),
    "of a code that begins alike": (order("K0823"), chart(authorization("K08231", "2026-09-01", "2027-02-28")), LISTED),
    "entered in error": (
        order("K0823"),
        chart(authorization("K0823", "2026-09-01", "2027-02-28") | {"status": "entered-in-error"}),
        LISTED,
    ),
    "a claim, not an authorization": (
        order("K0823"), chart(authorization("K0823", "2026-09-01", "2027-02-28") | {"use": "claim"}), LISTED,
    ),
    # oxygen
    "88 %": (order("E1390"), chart(COPD, saturation(88), visit()), COVERED),
    "the older pulse oximetry code": (
        order("E1390"),
        chart(COPD, saturation(86) | {"code": concept("http://loinc.org", "2708-6")}, visit()),
        COVERED,
    ),
    "room air in words": (
        order("E1390"),
        chart(COPD, saturation(87) | {"component": [], "note": [{"text": "Measured on room air, at rest."}]}, visit()),
        COVERED,
    ),
    "no word about oxygen": (order("E1390"), chart(COPD, saturation(87) | {"component": []}, visit()), OPEN),
    "on 28 %": (order("E1390"), chart(COPD, saturation(86, oxygen=28), visit()), OPEN),
    "31 days before": (order("E1390"), chart(COPD, saturation(87, "2026-10-19"), visit()), OPEN),
    "30 days before": (order("E1390"), chart(COPD, saturation(87, "2026-10-21"), visit()), COVERED),
    "a better value since": (
        order("E1390"), chart(COPD, saturation(87, "2026-11-01"), saturation(93, "2026-11-12"), visit()), OPEN,
    ),
    "during exercise, for a stationary device": (
        order("E1390"), chart(COPD, saturation(85, note=[{"text": "during exercise"}]), visit()), OPEN,
    ),
    "during sleep, for a stationary device": (
        order("E1390"), chart(COPD, saturation(86, note=[{"text": "overnight, during sleep"}]), visit()), COVERED,
    ),
    "during exercise, for a portable one": (
        order("E1392"), chart(COPD, saturation(85, note=[{"text": "during exercise"}])), COVERED,
    ),
    "PaO2 of 60 mmHg": (
        order("E1390"), chart(COPD, saturation(0) | result("2703-7", 60, "mm[Hg]", "2026-11-10"), visit()), OPEN,
    ),
    "89 % with pulmonary hypertension": (
        order("E1390"), chart(COPD, saturation(89), condition("I27.20"), visit()), COVERED,
    ),
    "haematocrit as a fraction": (
        order("E1390"), chart(COPD, saturation(89), result("4544-3", 0.58, "L/L", "2026-11-09"), visit()), COVERED,
    ),
    "a cancelled visit": (order("E1390"), chart(COPD, saturation(87), visit(status="cancelled")), OPEN),
    "a visit seven months ago": (order("E1390"), chart(COPD, saturation(87), visit("2026-04-10")), OPEN),
    "before visits were asked for": (
        order("E1390", "2026-04-12"), chart(COPD, saturation(87, "2026-04-01")), COVERED,
    ),
    "a device that is not on the list of visits": (order("E1392"), chart(COPD, saturation(87)), COVERED),
    "a stay with the prescriber": (
        order("E1390"),
        chart(COPD, saturation(87), visit(kind="IMP", participant=[{"individual": {"reference": "Practitioner/dr1"}}])),
        COVERED,
    ),
    # sleep apnoea
    "AHI of 15": (order("E0601"), chart(*SLEEP, ahi(15)), COVERED),
    "AHI of 14.9 alone": (order("E0601"), chart(*SLEEP, ahi(14.9)), OPEN),
    "AHI under another name": (order("E0601"), chart(*SLEEP, ahi(20, "AHI")), COVERED),
    "RDI of 7 with an old stroke": (
        order("E0601"), chart(*SLEEP, ahi(7, "Respiratory disturbance index"), condition("Z86.73")), COVERED,
    ),
    "AHI of 4": (order("E0601"), chart(*SLEEP, ahi(4), HYPERTENSION), OPEN),
    "no sleep test": (order("E0601"), chart(SLEEP[0], ahi(22)), OPEN),
    "a home test": (order("E0601"), chart(SLEEP[0], procedure("G0399", "2026-09-01"), ahi(22)), COVERED),
    # lung screening
    "77 years": (order("71271"), chart(*SMOKER, PACKS, who=patient("1948-11-21")), COVERED),
    "49 years": (order("71271"), chart(*SMOKER, PACKS, who=patient("1976-11-21")), OPEN),
    "20 pack-years": (
        order("71271"), chart(*SMOKER, result("8664-5", 20, "{PackYears}", "2026-11-01"), who=SIXTY), COVERED,
    ),
    "blood is coughed up": (order("71271"), chart(*SMOKER, PACKS, condition("R04.2"), who=SIXTY), OPEN),
    "screened ten months ago": (
        order("71271"), chart(*SMOKER, PACKS, procedure("71271", "2026-01-10"), who=SIXTY), OPEN,
    ),
    "screened a year ago": (
        order("71271"), chart(*SMOKER, PACKS, procedure("71271", "2025-11-28"), who=SIXTY), COVERED,
    ),
    "before the rule": (order("71271", "2022-02-09"), chart(*SMOKER, PACKS, who=SIXTY), {}),
    # glucose monitors
    "insulin that was stopped": (
        order("E2103"),
        chart(DIABETES, visit("2026-09-20", reasonCode=[concept("x", "E11.9")]),
              medication("274783", "insulin glargine 100 units/mL", "stopped")),
        OPEN,
    ),
    "insulin and a visit about something else": (
        order("E2103"), chart(DIABETES, INSULIN, visit("2026-09-20", reasonCode=[{"text": "Knee pain"}])), OPEN,
    ),
    "insulin and a visit about diabetes in words": (
        order("A4239"), chart(DIABETES, INSULIN, visit("2026-09-20", reasonCode=[{"text": "Diabetes check"}])), COVERED,
    ),
    "no diabetes": (order("E2103"), chart(INSULIN, visit("2026-09-20")), OPEN),
    # cancer, heart, bone
    "haemoglobin of 10": (
        order("J0881"),
        chart(condition("D64.81"), condition("C50.911"), result("718-7", 10, "g/dL", "2026-11-18")),
        OPEN,
    ),
    "haemoglobin of 95 g/L": (
        order("J0885"),
        chart(condition("D64.81"), condition("C34.11"), result("718-7", 95, "g/L", "2026-11-18")),
        COVERED,
    ),
    "myeloid leukaemia": (
        order("J0881"),
        chart(condition("D64.81"), condition("C92.00"), result("718-7", 9, "g/dL", "2026-11-18")),
        OPEN,
    ),
    "an infarction that is resolved": (order("93798"), chart(condition("I21.4", "resolved", "2026-06-20")), COVERED),
    "an infarction by SNOMED CT": (
        order("93798"),
        chart(condition("22298006", "resolved", "2026-06-20", "http://snomed.info/sct")),
        COVERED,
    ),
    "an old infarction, charted this year": (order("93798"), chart(condition("I25.2", onset="2026-06-01")), OPEN),
    "stopped smoking 14 years ago": (order("71271"), chart(*former("2012-06-01"), PACKS, who=SIXTY), COVERED),
    "stopped smoking 16 years ago": (order("71271"), chart(*former("2010-06-01"), PACKS, who=SIXTY), OPEN),
    "an old infarction": (order("93798"), chart(condition("I25.2")), OPEN),
    "an infarction without a day": (order("93798"), chart(condition("I21.4", onsetDateTime=None)), OPEN),
    "a stent on the problem list": (order("93797"), chart(condition("Z95.5")), COVERED),
    "unstable angina": (order("93798"), chart(condition("I20.0")), OPEN),
    "stable angina": (order("93798"), chart(condition("I20.9")), COVERED),
    "ulcers of the heels": (order("E0277"), chart(condition("L89.613"), condition("L89.623")), LISTED),
    "two stage 4 ulcers": (
        order("E0277"), chart(condition("L89.154"), condition("L89.214")), LISTED | {"covered": "covered"},
    ),
    "one stage 3 ulcer": (order("E0277"), chart(condition("L89.153")), LISTED),
    "healed ulcers": (
        order("E0277"), chart(condition("L89.153", "resolved"), condition("L89.223", "resolved")), LISTED,
    ),
    "BMI of 34.9": (order("43644"), chart(DIABETES, result("39156-5", 34.9, "kg/m2", "2026-11-01")), OPEN),
    "hearing aid of another kind": (order("V5260"), chart(), {"covered": "not-covered"}),
    # coverages
    "a coverage that begins next month": (
        order("L5856"), chart(payer=coverage(period={"start": "2026-12-01"})), ENDED,
    ),
    "a coverage that ends today": (
        order("L5856"), chart(payer=coverage(period={"start": "2020-01-01", "end": "2026-11-20"})), LISTED,
    ),
    "a plan that replaces Medicare": (
        order("L5856"), chart(payer=coverage(payor="Medicare", plan="Medicare Advantage HMO")), {},
    ),
    "a payer that sounds alike": (
        order("L5856"), chart(payer=coverage(payor="Medicare Supplement Co", plan="Gold")), {},
    ),
    "the invented plan, physical therapy": (
        order("97110"), chart(payer=coverage(payor="Sample Advantage Plan (invented)", plan="x")), COVERED,
    ),
    "the invented plan, MRI with a red flag": (
        order("72148"),
        chart(condition("C61"), payer=coverage(payor="Sample Advantage Plan (invented)", plan="x")),
        COVERED,
    ),
}  # fmt: skip


def test_look_alikes_days_and_places_are_told_apart(tmp_path: Path) -> None:
    assert wrong_answers(tmp_path, CASES) == {}


@pytest.mark.outside_data
def test_the_given_cases_are_answered_as_expected(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted((data_folder / "coverage" / "cases").glob("*.json"))
    cases = [json.loads(path.read_text()) for path in paths]
    assert len(cases) >= 47
    wrong: dict[str, Any] = {}
    for today, exempt in sorted({(case["today"], _exempt_hospitals(case)) for case in cases}):
        folder = tmp_path / f"{today} {exempt}"
        rules = load_policies(own_folder(folder, **{"exempt_hospitals.csv": f"hospital\n{exempt}\n"}))
        monkeypatch.setattr(_coverage, "policies", lambda rules=rules: rules)
        of_day = [case for case in cases if (case["today"], _exempt_hospitals(case)) == (today, exempt)]
        responses = asyncio.run(_ask_cases(folder / "record", of_day, date.fromisoformat(today)))
        for case in of_day:
            check_answers(case["id"], responses[case["id"]])
            if faults := list(_faults(case, responses[case["id"]])):
                wrong[case["id"]] = faults
    assert wrong == {}


def _exempt_hospitals(case: Json) -> str:
    return "\n".join((case["config"] or {}).get("exempt_hospitals", ()))


async def _ask_cases(folder: Path, cases: Iterable[Json], day: date) -> dict[str, Json]:
    folder.mkdir()
    responses = {}
    async with client(folder, as_of=datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) as calls:
        for case in cases:
            entry = await entry_for(calls, case["hook"])
            pool = [each["resource"] for each in case["chart"]["entry"]]
            prefetch = prefetch_from(pool, entry["prefetch"], case["context"], day)
            request = {"hook": case["hook"], "hookInstance": "1", "context": case["context"], "prefetch": prefetch}
            responses[case["id"]] = (await calls.post(f"/cds-services/{entry['id']}", json=request)).json()
    return responses


def _faults(case: Json, response: Json) -> Iterable[Any]:
    extensions = extensions_of(response)
    if case["expected"] is None and extensions:
        yield "answered"
    for expected in case["expected"] or ():
        answer = decided(extensions[expected["order"]][0]) if expected["order"] in extensions else {}
        wanted = expected["coverage-information"]
        names = ("covered", "reason") if case["id"] == "form-nocode" else (
            "covered", "pa-needed", "info-needed", "satisfied-pa-id", "reason",
        )  # fmt: skip
        yield from (
            (name, answer.get(name), wanted.get(name)) for name in names if answer.get(name) != wanted.get(name)
        )
        if ("doc-needed" in answer) != ("doc-needed" in wanted):
            yield "doc-needed"


# What the protocol asks


def test_every_hook_has_its_address_and_its_configuration_options(tmp_path: Path) -> None:
    entries = DECLARED.discovery()
    assert {entry["hook"] for entry in entries} == {
        "order-sign", "order-select", "order-dispatch", "appointment-book", "encounter-start", "encounter-discharge",
    }  # fmt: skip
    assert len({entry["id"] for entry in entries}) == 6
    for entry in entries:
        options = entry["extension"]["davinci-crd.configuration-options"]
        assert [option["code"] for option in options] == [
            "coverage-info", "claim", "guideline", "therapy-alternatives-opt", "insurance",
        ]  # fmt: skip
        for option in options:
            assert option["type"] == "boolean"
            assert option["name"]
            assert option["description"]
            assert option["default"] is True
        for name in ("code", "name", "description"):
            assert len({option[name] for option in options}) == len(options)


def _codes_of(test: Mapping[str, Any]) -> Iterator[str]:
    """Return the LOINC codes that a test reads."""
    ((name, wanted),) = test.items()
    if name in ("any", "all"):
        for part in wanted:
            yield from _codes_of(part)
    elif name == "not":
        yield from _codes_of(wanted)
    elif name == "observation":
        yield from wanted.get("loinc", ())


def test_the_service_asks_for_every_code_that_criteria_read() -> None:
    rules = load_policies()
    read = {code for group in rules.criteria.values() for one in group.criteria for code in _codes_of(one.test)}
    asked = DECLARED.needs.lab_codes | {code for name in DECLARED.needs.analytes for code in ANALYTES[name].loinc}
    assert read <= asked


def test_a_client_without_system_actions_gets_a_card_that_writes_the_note(tmp_path: Path) -> None:
    (response,) = asyncio.run(
        ask(tmp_path, {"knee": ([order("L5856")], chart())}, settings={"protocol_version": "1.1"})
    ).values()
    assert "systemActions" not in response
    card = next(card for card in response["cards"] if card["source"]["topic"]["code"] == "coverage-info")
    (action,) = card["suggestions"][0]["actions"]
    assert card["suggestions"][0]["uuid"]
    assert decided(action["resource"]["extension"][0]) == LISTED


def test_options_switch_each_kind_off_and_what_is_not_known_is_ignored(tmp_path: Path) -> None:
    def configured(**options: Any) -> Json:
        extension = {"davinci-crd.configuration": options}
        (response,) = asyncio.run(
            ask(_new(tmp_path), {"x": ([order("E1390")], chart(COPD))}, extension=extension)
        ).values()
        return response

    def kinds(response: Json) -> set[str]:
        topics = {card["source"]["topic"]["code"] for card in response["cards"]}
        return topics | ({"coverage-info"} if "systemActions" in response else set())

    assert kinds(configured()) == {"coverage-info", "claim", "guideline"}
    assert kinds(configured(claim=False)) == {"coverage-info", "guideline"}
    assert kinds(configured(guideline=False, claim=False)) == {"coverage-info"}
    assert kinds(configured(**{"coverage-info": False})) == {"claim", "guideline"}
    assert kinds(configured(claim="no", cost=False, nonsense={"a": 1})) == {"coverage-info", "claim", "guideline"}


def _new(folder: Path) -> Path:
    path = folder / f"server-{len(list(folder.iterdir()))}"
    path.mkdir()
    return path


def test_cards_name_their_order_and_say_where_the_rule_stands(tmp_path: Path) -> None:
    response = asyncio.run(ask(tmp_path, {"x": ([order("E1390"), order("L5856")], chart(COPD))}))["x"]
    for card in response["cards"]:
        (reference,) = card["extension"]["davinci-associated-resource"]
        assert reference.removeprefix("DeviceRequest/order-").upper() in card["detail"]
        assert "DeviceRequest" not in card["detail"]
        assert card["indicator"] == "info"
        assert card["source"]["label"] == "Medicare"
    documents = [card for card in response["cards"] if card["source"]["topic"]["code"] == "guideline"]
    assert documents
    assert all(link["type"] == "absolute" for card in documents for link in card["links"])
    steps = [card for card in response["cards"] if card["source"]["topic"]["code"] == "claim"]
    assert any("blood gas or oxygen saturation" in card["detail"] for card in steps)


def test_at_early_hooks_nothing_is_said_of_documents(tmp_path: Path) -> None:
    response = asyncio.run(ask(tmp_path, {"x": ([order("L5856")], chart())}, hook="order-select"))["x"]
    assert answer_of(response) == {"covered": "conditional", "pa-needed": "performpa"}
    assert response["cards"] == []


def test_an_answer_that_still_holds_is_not_sent_again_and_a_new_one_takes_its_place(tmp_path: Path) -> None:
    pool = chart(COPD, saturation(87), visit())
    first = asyncio.run(ask(_new(tmp_path), {"x": ([order("E1390")], pool)}))["x"]
    annotated = first["systemActions"][0]["resource"]
    again = asyncio.run(ask(_new(tmp_path), {"x": ([annotated], pool)}, date(2026, 11, 23)))["x"]
    assert "systemActions" not in again
    assert "unchanged" in reasons_of(again)
    (note,) = annotated["extension"]
    (identity,) = (part["valueString"] for part in note["extension"] if part["url"] == "coverage-assertion-id")
    assert f"The answer {identity} on the order still holds" in str(again)
    nameless = [part for part in note["extension"] if part["url"] != "coverage-assertion-id"]
    without_id = annotated | {"extension": [note | {"extension": nameless}]}
    unnamed = asyncio.run(ask(_new(tmp_path), {"x": ([without_id], pool)}))["x"]
    assert "The answer ? on the order still holds" in str(unnamed)
    changed = asyncio.run(ask(_new(tmp_path), {"x": ([annotated], chart(COPD, saturation(93), visit()))}))["x"]
    assert answer_of(changed) == OPEN
    assert len(extensions_of(changed)["DeviceRequest/order-e1390"]) == 1


def test_two_coverages_have_two_answers_with_ids_of_their_own(tmp_path: Path) -> None:
    second = coverage("cov2", "Sample Advantage Plan (invented)", "x")
    mri = order("72148", insurance=[{"reference": "Coverage/cov1"}, {"reference": "Coverage/cov2"}])
    response = asyncio.run(ask(tmp_path, {"x": ([mri], chart(second))}))["x"]
    (extensions,) = extensions_of(response).values()
    assert [decided(extension)["pa-needed"] for extension in extensions] == ["no-auth", "auth-needed"]
    ids = [
        part["valueString"] for one in extensions for part in one["extension"] if part["url"] == "coverage-assertion-id"
    ]
    assert len(set(ids)) == 2


async def test_a_dispatched_order_an_appointment_and_the_orders_of_a_visit_are_answered(tmp_path: Path) -> None:
    responses = []
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        signed = order("L5856", status="active", encounter={"reference": "Encounter/e1"})
        appointment = {
            "resourceType": "Appointment", "id": "a1", "status": "proposed", "start": "2026-11-25T10:00:00Z",
            "end": "2026-11-25T11:00:00Z", "serviceType": [concept("http://www.ama-assn.org/go/cpt", "93798")],
            "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}],
        }  # fmt: skip
        for hook, context in (
            ("order-dispatch", {"dispatchedOrders": ["DeviceRequest/order-l5856"], "performer": "Organization/1"}),
            ("appointment-book", {"userId": "Practitioner/dr1", "appointments": bundle([appointment])}),
            ("encounter-discharge", {"userId": "Practitioner/dr1", "encounterId": "e1"}),
        ):
            entry = await entry_for(calls, hook)
            request = request_of(entry, [], chart(signed)) | {"context": {"patientId": "p"} | context}
            answer = await calls.post(f"/cds-services/{entry['id']}", json=request)
            assert answer.status_code == 200, answer.text
            responses.append(answer.json())
    dispatched, booked, discharged = responses
    assert answer_of(dispatched) == LISTED
    assert answer_of(booked) == OPEN
    assert answer_of(discharged) == {"covered": "conditional", "pa-needed": "performpa"}


def test_nothing_is_answered_about_another_patient_or_without_a_coverage(tmp_path: Path) -> None:
    async def call(orders: Iterable[Json], pool: Iterable[Json]) -> httpx.Response:
        async with client(_new(tmp_path), as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
            entry = await entry_for(calls)
            return await calls.post(f"/cds-services/{entry['id']}", json=request_of(entry, orders, pool))

    foreign = order("L5856", subject={"reference": "Patient/other"})
    assert asyncio.run(call([foreign], chart())).status_code == 400
    none = asyncio.run(call([order("L5856")], [patient()]))
    assert "systemActions" not in none.json()
    assert "no-coverage" in reasons_of(none.json())
    unknown = asyncio.run(call([order("L5856")], chart(payer=coverage(payor="Another Health Plan", plan="Gold"))))
    assert "no-rules-for-payer" in reasons_of(unknown.json())


def test_a_client_of_the_trust_file_has_the_service_only_where_it_is_named() -> None:
    assert TrustedClient("development").may_call(SERVICE)
    assert not TrustedClient("ehr", issuers=frozenset({"x"})).may_call(SERVICE)
    assert TrustedClient("ehr", issuers=frozenset({"x"})).may_call("order-safety")
    assert TrustedClient("payer", issuers=frozenset({"x"}), services=frozenset({SERVICE})).may_call(SERVICE)
