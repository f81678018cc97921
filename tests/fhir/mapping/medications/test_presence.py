"""Whether a drug is taken: present, absent, unreadable or not asked for; and what has an unknown status or is held."""

from typing import Any

import pytest
from msgspec.structs import replace

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.medications.active import (
    active_medications,
    held_medications,
    presence_of,
    uncertain_medications,
    unreadable_codes,
    unreadable_medications,
    words_of_unreadable,
)
from tests.each import for_rows
from tests.fhir.builders import coded, record_of, request, statement

ANTICOAGULANT = frozenset({"anticoagulant"})


def test_a_drug_that_is_on_the_list_is_present_whatever_else_is_unreadable() -> None:
    presence = presence_of(record_of(request("Xyzabloc 5 mg"), statement("apixaban")), ANTICOAGULANT)
    assert (presence.state, [drug.name for drug in presence.medications]) == ("present", ["apixaban"])


def test_what_is_not_meant_is_left_out_by_its_code_or_its_name() -> None:
    record = record_of(request("apixaban"))
    for other_than, state in (({"1364430"}, "absent"), ({"apixaban"}, "absent"), ({"warfarin"}, "present")):
        assert presence_of(record, ANTICOAGULANT, other_than=frozenset(other_than)).state == state


@pytest.mark.parametrize(
    ("coding", "code"),
    [
        ([{"display": "Xyza"}, {"system": "urn:oid:2.999", "code": "X1"}], "urn:oid:2.999|X1"),
        ([{"code": "X1"}], "|X1"),
        ([{"display": "Xyza"}], "text"),
    ],
)
def test_the_code_of_what_no_table_knows_is_its_first(coding: list[dict[str, str]], code: str) -> None:
    unknown = request("Xyzabloc 5 mg", medicationCodeableConcept={"coding": coding, "text": "Xyzabloc 5 mg"})
    record = record_of(unknown)
    assert unreadable_codes(record) == ()  # nobody has looked yet
    active_medications(record)
    assert unreadable_codes(record) == (code,)


@pytest.mark.parametrize("words", ["Xyzabloc 5 mg", "Blutverdünner nach Plan", "study drug or placebo"])
def test_a_medication_that_no_table_knows_is_never_the_absence_of_a_drug(words: str) -> None:
    presence = presence_of(record_of(request("metformin"), request(words, id="m2")), ANTICOAGULANT)
    assert presence.state == "unreadable"
    assert presence.unreadable_words == words


def test_a_code_without_words_and_a_reference_to_nothing_are_unreadable() -> None:
    unknown = request(coded("99999999", ""), id="m2")
    assert presence_of(record_of(unknown), ANTICOAGULANT).state == "unreadable"
    lost = request("", id="m3", medicationReference={"reference": "Medication/lost"})
    del lost["medicationCodeableConcept"]
    presence = presence_of(record_of(lost), ANTICOAGULANT)
    assert presence.unreadable_words == "MedicationRequest/m3, whose medicine was not sent"


@pytest.mark.parametrize("words", ["insulin needles", "lancets", "Lactated Ringers"])
def test_supplies_and_fluids_hide_no_drug(words: str) -> None:
    assert presence_of(record_of(request(words)), ANTICOAGULANT).state == "absent"


def test_what_acts_only_where_it_is_put_hides_no_drug_for_the_whole_body() -> None:
    record = record_of(request("Xyzavis eye drops"))
    assert presence_of(record, ANTICOAGULANT).state == "absent"
    assert presence_of(record, ANTICOAGULANT, systemic=False).state == "unreadable"
    assert len(unreadable_medications(record, systemic=False)) == 1


def test_a_drug_that_acts_only_where_it_is_put_is_no_drug_for_the_whole_body() -> None:
    record = record_of(request("dexamethasone eye drops"))
    assert presence_of(record, frozenset({"3264"})).state == "absent"
    assert presence_of(record, frozenset({"3264"}), systemic=False).state == "present"


def test_a_feature_of_the_medication_list_is_missing_with_the_words_that_could_not_be_read() -> None:
    vector = map_features(record_of(request("Xyzabloc 5 mg")), features_named(("takes_statin",)))
    assert [type(missing) for missing in vector.missing] == [Missing]
    assert "Xyzabloc 5 mg" in vector.missing[0].text


def test_what_could_not_be_read_is_named_three_at_most_and_a_known_drug_with_its_day() -> None:
    orders = [request(words, id=words) for words in ("Xyza", "Xyzb", "Xyza", "Xyzc", "Xyzd", "Xyze")]
    medications = active_medications(record_of(*orders))
    assert words_of_unreadable(medications) == "Xyza; Xyzb; Xyzc and 2 more"
    assert words_of_unreadable(active_medications(record_of(*orders[:4]))) == "Xyza; Xyzb; Xyzc"
    (metformin,) = active_medications(record_of(request("metformin")))
    assert words_of_unreadable((metformin,)) == "metformin, ordered on 2026-11-01"
    unknown = replace(metformin, order=replace(metformin.order, status="unknown"))
    assert words_of_unreadable((unknown,)) == "metformin, status unknown"
    nameless = request("", id="m3")
    del nameless["medicationCodeableConcept"]
    assert presence_of(record_of(nameless), ANTICOAGULANT).unreadable_words == "MedicationRequest/m3, without a name"


def _names(resources: tuple[dict[str, Any], ...]) -> tuple[list[str], list[str]]:
    record = record_of(*resources)
    return [item.source for item in uncertain_medications(record)], [item.source for item in held_medications(record)]


@for_rows(
    ("resources", "unknown", "held"),
    [
        ((request("warfarin", status="unknown", authoredOn="2026-08-22"),), ["MedicationRequest/m1"], []),  # 90 days
        ((request("warfarin", status="unknown", authoredOn="2026-08-21"),), [], []),
        ((request("warfarin", status="unknown", authoredOn="2026-12-01"),), [], []),
        ((request("warfarin", status="unknown", authoredOn=""),), ["MedicationRequest/m1"], []),
        ((request("warfarin", status="on-hold", authoredOn="2025-11-20"),), [], ["MedicationRequest/m1"]),
        ((request("warfarin", status="on-hold", authoredOn="2025-11-19"),), [], []),
        ((statement("warfarin", status="unknown"),), ["MedicationStatement/s1"], []),
        ((statement("warfarin", status="unknown", effectivePeriod={"start": "2026-08-21"}),), [], []),
        ((statement("warfarin", status="unknown", effectiveDateTime="2026-08-22"),), ["MedicationStatement/s1"], []),
        ((statement("warfarin", status="unknown", dateAsserted="2026-11-01", effectiveDateTime="2020-01-01"),),
         ["MedicationStatement/s1"], []),
        ((request("warfarin", status="unknown"), statement("warfarin")), [], []),
        ((request("warfarin", status="unknown"), statement("aspirin")), ["MedicationRequest/m1"], []),
        ((request("herbal drops", status="unknown"),), [], []),
        ((request("warfarin", status="on-hold", authoredOn="2026-10-01"),
          request("warfarin", "m2", status="on-hold", authoredOn="2026-11-01"),
          request("aspirin", "m3", status="on-hold", authoredOn="2026-10-15")),
         [], ["MedicationRequest/m2", "MedicationRequest/m3"]),
    ],
)  # fmt: skip
def test_what_is_named_as_uncertain_or_held(
    resources: tuple[dict[str, Any], ...], unknown: list[str], held: list[str]
) -> None:
    assert _names(resources) == (unknown, held)
