"""Whether a drug is taken: present, absent, unreadable or not asked for; and what has an unknown status or is held."""

import pytest

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.medications.active import (
    presence_of,
)
from tests.fhir.builders import record_of, request, statement

ANTICOAGULANT = frozenset({"anticoagulant"})


def test_a_drug_that_is_on_the_list_is_present_whatever_else_is_unreadable() -> None:
    presence = presence_of(record_of(request("Xyzabloc 5 mg"), statement("apixaban")), ANTICOAGULANT)
    assert (presence.state, [drug.name for drug in presence.medications]) == ("present", ["apixaban"])


@pytest.mark.parametrize("words", ["Xyzabloc 5 mg", "Blutverdünner nach Plan", "study drug or placebo"])
def test_a_medication_that_no_table_knows_is_never_the_absence_of_a_drug(words: str) -> None:
    presence = presence_of(record_of(request("metformin"), request(words, id="m2")), ANTICOAGULANT)
    assert presence.state == "unreadable"
    assert presence.unreadable_words == words


@pytest.mark.parametrize("words", ["insulin needles", "lancets", "Lactated Ringers"])
def test_supplies_and_fluids_hide_no_drug(words: str) -> None:
    assert presence_of(record_of(request(words)), ANTICOAGULANT).state == "absent"


def test_a_feature_of_the_medication_list_is_missing_with_the_words_that_could_not_be_read() -> None:
    vector = map_features(record_of(request("Xyzabloc 5 mg")), features_named(("takes_statin",)))
    assert [type(missing) for missing in vector.missing] == [Missing]
    assert "Xyzabloc 5 mg" in vector.missing[0].text
