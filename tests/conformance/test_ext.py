"""EXT: extensions."""

import re

import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.conformance.answers import AS_OF, Answers
from tests.conformance.outside import Json, Outside, outcome_of, walk
from tests.conformance.rows import row

UNIQUE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+|davinci-[a-z-]+")  # CRD's names, which its guide prescribes


@row("EXT-01")
@pytest.mark.parametrize("value", [[], "x", 7, True, [{"url": "http://example.org", "valueString": "x"}]])
def test_an_extension_that_is_no_object_is_refused(server: Outside, value: Json) -> None:
    answer = server.call(PLANNING, request_for(PLANNING, "patient-view", "infant", AS_OF) | {"extension": value})
    assert answer.status_code == 400
    assert outcome_of(answer)["expression"] == ["extension"]


@row("EXT-01", "EXT-02")
def test_every_extension_of_ours_is_an_object_with_unique_names(answers: Answers) -> None:
    found = 0
    for each in answers.all:
        for path, value in walk(each.document):
            # inside of a resource an extension is FHIR's own, an array
            if path.rpartition(".")[2] == "extension" and ".resource" not in path:
                found += 1
                assert isinstance(value, dict)
                assert all(UNIQUE.fullmatch(name) for name in value)
    assert found


@row("EXT-03")
def test_an_extension_that_nobody_knows_changes_nothing(server: Outside) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
    extended = request | {"extension": {"com.example.workflow": {"a": [None, {}]}}}
    first, second = (server.call(PLANNING, each).json()["cards"][0] for each in (request, extended))
    assert first["summary"] == second["summary"]
    assert first["detail"].partition("http")[0] == second["detail"].partition("http")[0]
