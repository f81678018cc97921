"""Single services, each decision by itself: whom they leave out, what they name, and at which limits."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cards.rules.engine.finding import Finding
from cards.rules.patient.orders import DraftMedication
from cds_hooks.services import services_for
from cds_hooks.services._model import ChartModel, SiteThresholds, age_in
from cds_hooks.services.medication_review import _is_meant, _reports_from_65
from cds_hooks.services.planning_conversation import _diagnoses_beside, _is_over, _open_encounters, _outside_population
from cds_hooks.services.statin_discussion import _over_75, _reaches, _takes_pcsk9, statin_indication
from cds_hooks.settings import Settings
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from models_onnx.serving.registry import load_model
from tests.cds_hooks.calls import PLANNING
from tests.cds_hooks.services.test_decisions_by_themselves import Json, blood, days_ago, problem, referral, visit
from tests.each import for_rows
from tests.fhir.builders import ICD10, MAN, WOMAN, condition, observation, record_of, request


def born(year: int) -> Json:
    return WOMAN | {"birthDate": f"{year}-11-20"}


# Statins


@for_rows(
    ("resources", "patient", "words"),
    [
        ([condition("I25.10", ICD10)], WOMAN, "known atherosclerotic disease"),
        ([condition("I25.10", ICD10)], born(2006), "known atherosclerotic disease"),
        ([condition("I25.10", ICD10)], born(2007), None),
        ([condition("I25.10", ICD10, verificationStatus={"coding": [{"code": "provisional"}]})], WOMAN, None),
        ([condition("E78.01", ICD10)], WOMAN, "familial hypercholesterolaemia"),
        ([blood("13457-7", 190, "mg/dL")], WOMAN, "LDL cholesterol 190 mg/dL (2026-11-19)"),
        ([blood("13457-7", 189, "mg/dL")], WOMAN, None),
        ([blood("13457-7", 190, "mg/dL", 367)], WOMAN, None),
        ([condition("E11.9", ICD10)], WOMAN, "diabetes, age 70"),
        ([condition("E11.9", ICD10)], born(1986), "diabetes, age 40"),
        ([condition("E11.9", ICD10)], born(1987), None),
        ([condition("E11.9", ICD10)], born(1951), "diabetes, age 75"),
        ([condition("E11.9", ICD10)], born(1950), None),
        ([condition("B20", ICD10), condition("E11.9", ICD10)], WOMAN, "HIV, age 70"),
        ([condition("B20", ICD10)], born(1950), None),
        ([], WOMAN, None),
        ([condition("I25.10", ICD10)], {"resourceType": "Patient", "id": "p1"}, None),
    ],
)
def test_an_indication_for_a_statin_that_needs_no_score(resources: Any, patient: Json, words: str | None) -> None:
    indication = statin_indication(record_of(*resources, patient=patient))
    assert (indication.words if indication is not None else None) == words


def test_other_parts_of_the_talk_about_a_statin() -> None:
    assert _takes_pcsk9(record_of(request("evolocumab 140 mg")))
    assert _takes_pcsk9(record_of(request("Praluent 75 mg")))
    assert not _takes_pcsk9(record_of(request("atorvastatin 20 mg")))
    bands = {"low": False, "borderline": False, "intermediate": True, "high": True, "": False}
    for band, reaches in bands.items():
        assert _reaches(cast("Any", SimpleNamespace(band_id=band))) is reaches

    def over(patient: Json) -> str:
        return _over_75(cast("Any", SimpleNamespace(record=record_of(patient=patient))))

    assert over(born(1951)) == over({"resourceType": "Patient", "id": "p1"}) == ""
    assert over(born(1950)).startswith(" At 76 the evidence is less certain")


# Planning


@for_rows(
    ("resources", "patient", "reason"),
    [
        ([], WOMAN, None),
        ([], WOMAN | {"deceasedBoolean": True}, "deceased"),
        ([], born(1990), "outside-population"),
        ([], {"resourceType": "Patient", "id": "p1"}, "age-unknown"),
        ([referral("Planning conversation: goals")], WOMAN, "already-done"),
        ([referral("Planning conversation: goals", days_ago(367))], WOMAN, None),
        ([referral("Goals of care discussion")], WOMAN, "already-done"),
        ([problem("Living will on file")], WOMAN, "already-done"),
        ([problem("Living will on file", clinicalStatus={"coding": [{"code": "resolved"}]})], WOMAN, None),
        ([condition("C78.7", ICD10)], WOMAN, "outside-population"),
        ([visit("IMP")], WOMAN, "outside-population"),
        ([visit("EMER", "triaged")], WOMAN, "outside-population"),
        ([visit("IMP", "finished")], WOMAN, None),
        ([visit("AMB")], WOMAN, None),
        ([visit("IMP", period={"start": days_ago(5), "end": days_ago(2)})], WOMAN, None),
        ([visit("IMP", period={"start": days_ago(5), "end": days_ago(-1)})], WOMAN, "outside-population"),
    ],
)
def test_whom_a_planning_conversation_is_not_for(resources: Any, patient: Json, reason: str | None) -> None:
    silence = _outside_population(record_of(*resources, patient=patient))
    assert (silence.reason if silence is not None else None) == reason


WISH: Json = observation("75773-2", when=None, id="w")


@for_rows(
    ("changed", "is_charted"),
    [
        ({"valueString": "At home"}, True),
        ({"valueCodeableConcept": {"text": "At home"}}, True),
        ({}, False),
        ({"valueString": "At home", "status": "cancelled"}, False),
        ({"valueString": "At home", "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}}, False),
    ],
)
def test_what_the_patient_wants_is_charted(changed: Json, *, is_charted: bool) -> None:
    silence = _outside_population(record_of(WISH | changed))
    text = "The conversation is planned or was held (Observation/w)."
    assert (silence.text if silence is not None else None) == (text if is_charted else None)


@for_rows(
    ("end", "is_over"),
    [("2026-11-20T09:00:00Z", False), ("2026-11-20T08:59:59Z", True), ("2026-11-20", False), ("2026-11-19", True)],
)
def test_a_visit_ends_with_its_end(end: str, *, is_over: bool) -> None:
    record = record_of(visit("IMP", period={"start": "2026-11-01", "end": end}))
    (stay,) = record.encounters
    assert _is_over(stay, record) is is_over
    assert _open_encounters(record) == ([] if is_over else [stay])
    (undated,) = record_of({name: value for name, value in visit("IMP").items() if name != "period"}).encounters
    assert not _is_over(undated, record)


def test_diagnoses_that_the_model_does_not_use_stand_beside_its_number() -> None:
    assert _diagnoses_beside(record_of()) == ""
    text = _diagnoses_beside(record_of(condition("I50.9", ICD10), condition("J44.9", ICD10)))
    assert text == "**This estimate uses no diagnoses.** On record: condition I50.9; condition J44.9.\n"


# The review of medications


def finding(rule: str = "r", band: str = "b", indicator: Any = "warning", group: str = "renal") -> Finding:
    return cast("Finding", SimpleNamespace(rule=rule, band=band, indicator=indicator, group=group))


def drafted(*, as_needed: bool = False) -> DraftMedication:
    return cast("DraftMedication", SimpleNamespace(dose=SimpleNamespace(as_needed=as_needed)))


@pytest.mark.parametrize(("indicator", "is_told"), [("info", True), ("silent", False)])
def test_the_review_tells_of_every_criterion_but_the_silent_ones(indicator: str, *, is_told: bool) -> None:
    rule, band = SimpleNamespace(id="r", group="disease"), SimpleNamespace(id="b", indicator=indicator)
    assert _reports_from_65(cast("Any", rule), cast("Any", SimpleNamespace(declared=band))) is is_told


@for_rows(
    ("declared", "site", "in_force"),
    [
        ({}, {}, False),
        ({}, {"within_age_band": True}, True),
        ({"within_age_band": False}, {"within_age_band": True}, False),
        ({"within_age_band": True}, {}, True),
        ({"share": 0.1}, {"within_age_band": True}, False),
        ({}, {"within_age_band": True, "shares": {"mortality_5y": 0.1}}, False),
    ],
)
def test_thresholds_by_age_give_way_to_a_share_of_the_service_or_the_site(
    declared: Json, site: Json, *, in_force: bool
) -> None:
    model = load_model("mortality_5y")
    nobody = cast("Any", None)
    asked = ChartModel(model, model, nobody, nobody, **declared)
    assert model.manifest.thresholds.age_bands
    assert asked.compares_within_ages(model.manifest, SiteThresholds(**site)) is in_force


@for_rows(
    ("made", "as_needed", "young", "older"),
    [
        (finding(), False, True, True),
        (finding(indicator="critical", group="dose"), False, True, True),
        (finding(group="dose"), False, False, False),
        (finding(group="review"), False, False, True),
        (finding(group="review", indicator="info"), False, False, True),
        (finding(indicator="info"), False, False, False),
        (finding(group="disease", indicator="info"), False, False, True),
        (finding("dz-bb-ccb_nondhp", "running", "info"), False, True, True),
        (finding("review-lithium", "found", "info", "review"), False, True, True),
        (finding(group="duplicate", indicator="info"), True, False, False),
    ],
)
def test_what_the_review_tells(made: Finding, *, as_needed: bool, young: bool, older: bool) -> None:
    told = [_is_meant(made, drafted(as_needed=as_needed), is_older=is_older) for is_older in (False, True)]
    assert told == [young, older]


# Thresholds of models


def test_the_age_among_the_inputs_of_a_model() -> None:
    features = features_named(("age_years", "sex_male"))
    assert age_in(map_features(record_of(), features)) == 70.0
    assert age_in(map_features(record_of(patient=MAN), features[1:])) is None
    assert age_in(map_features(record_of(patient={"resourceType": "Patient", "id": "p1"}), features)) is None


# A site can have its clients asked for what says that a patient has opted out of decision support.
GO_ON = {"order-safety", "order-safety-dispatch", "genes-and-medications", "medication-review", "discharge-medications"}


def asked(**site: Any) -> dict[str, dict[str, str]]:
    """By service those of its prefetch templates that are about opting out."""
    return {
        name: {key: query for key, query in entry["prefetch"].items() if key in ("consents", "flags")}
        for name, service in services_for(Settings(**site)).items()
        for entry in service.discovery()
    }


def test_nobody_is_asked_unless_the_site_wants_it() -> None:
    assert set(map(str, asked().values())) == {"{}"}


def test_services_that_an_opt_out_silences_ask_and_those_that_warn_of_harm_do_not() -> None:
    consents = {"consents": "Consent?patient={{context.patientId}}&status=active&_count=50"}
    found = asked(ask_opt_outs=True)
    assert {name for name, queries in found.items() if not queries} == GO_ON
    assert [queries for name, queries in found.items() if name not in GO_ON] == [consents] * (len(found) - len(GO_ON))
    with_flags = asked(ask_opt_outs=True, opt_out_flags="https://example.org/flags|no-cds")
    assert with_flags[PLANNING] == consents | {"flags": "Flag?patient={{context.patientId}}&_count=50"}
