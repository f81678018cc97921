"""Whatever reads a chart reads elements that came without what FHIR R4 (4.0.1) lets them come without."""

from fhir.mapping.conditions import condition_time
from fhir.mapping.features.coded import CodeOrPhrase
from fhir.mapping.genomics.reports import gene_readings
from fhir.mapping.gestation import gestation_weeks
from fhir.mapping.implants import MrSafety, implants
from fhir.mapping.pregnancy import pregnancy_signs
from fhir.mapping.tobacco import smoking_history
from tests.fhir import builders
from tests.fhir.builders import ICD10, SNOMED, encounter, observation, problem, record_of

BARE = {"coding": [{"system": ICD10}, {"system": SNOMED}, {"display": "something"}, {"code": "E11"}]}


def test_codes_without_a_code_and_references_without_an_address_say_nothing() -> None:
    visit = encounter("IMP", id="now", period={"start": "2026-11-18T08:00:00Z"})
    safety = [{"coding": [{"display": "of its safety"}]}]
    chart = record_of(
        visit,
        problem(BARE, encounter={"display": "a visit"}, id="a"),
        problem(BARE, encounter={"reference": "Encounter/now"}, id="b"),
        builders.made("Device", id="d", type={"text": "Cardiac pacemaker"}, patient=builders.SUBJECT, safety=safety),
        observation("74010-0", when="2026-11-01"),
        observation("18185-9", 12, None, "2026-11-01"),
    )
    undated = chart.conditions[0]
    assert condition_time(undated, chart) is None
    assert gestation_weeks(chart, None) is None
    assert [(implant.source, implant.safety) for implant in implants(chart)] == [("Device/d", MrSafety.UNDOCUMENTED)]
    assert not gene_readings(chart).has_any
    assert smoking_history(chart).stopped_by is None
    assert pregnancy_signs(chart).gestation == ()
    assert undated.code is not None
    assert CodeOrPhrase(systems=frozenset({ICD10}), code="E11").matches(undated.code) is None
