"""What a message brings: the codes that a fact is found by, and the id that is made of the numbers of its sender."""

from cds_hooks.events.effects import Effects, codes_of, resource_id


def test_the_codes_of_a_fact_are_those_of_every_concept_and_component() -> None:
    coded = {"coding": [{"system": "s", "code": "1"}, {"code": "2"}, {"system": "s"}, "x"]}
    resource = {
        "code": coded,
        "vaccineCode": {"coding": [{"system": "cvx", "code": "3"}]},
        "medicationCodeableConcept": {"coding": [{"system": "rx", "code": "4"}]},
        "component": [{"code": {"coding": [{"system": "s", "code": "5"}]}}, {"code": coded}, "x"],
    }
    assert codes_of(resource) == " s|1 |2 cvx|3 rx|4 s|5 "
    assert codes_of({"code": {"text": "x"}, "component": {}}) == ""


def test_an_id_is_made_of_all_its_parts() -> None:
    assert resource_id("NORTH", "V1") == resource_id("NORTH", "V1")
    assert len({resource_id("NORTH", "V1"), resource_id("NORT", "HV1"), resource_id("NORTH", "V", "1")}) == 3
    assert len(resource_id("a")) == 35
    assert resource_id("a").startswith("v2-")
    assert Effects() == Effects([], [], {}, [])  # type: ignore[arg-type]
