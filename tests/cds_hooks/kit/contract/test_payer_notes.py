"""What the kit says of a payer's options, cards, tasks and notes on coverage that are wrong in one point."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cards.coverage.annotation import coverage_information
from cds_hooks.kit.contract.charts import sample_charts
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.document import Node, NotTested
from cds_hooks.kit.contract.registry import all_checks, rows
from cds_hooks.kit.contract.report import Report, Result
from cds_hooks.kit.contract.requests import DIALECTS
from cds_hooks.kit.contract.run import run_checks, select_checks
from cds_hooks.kit.contract.target import Target
from cds_hooks.services import _coverage
from tests.cds_hooks.kit.contract.verdicts import PAYER, note, payer
from tests.conftest import ROOT
from tests.each import for_rows
from tests.live import serving_here

Json = dict[str, Any]
CHECKS = {check.name: check for check in all_checks()}
TOPIC = {"code": "claim", "system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp"}


def found(name: str, part: Json) -> list[tuple[str, str, str]] | str:
    """What this check finds in a part of a document: row, place and sentence; the reason where it was not tested."""
    check = CHECKS[name]
    try:
        return [(fault.row or check.row, fault.location, fault.message) for fault in check.run(Node(part))]
    except NotTested as reason:
        return str(reason)


def code(value: str) -> Json:
    return {"valueCode": value}


@for_rows(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"coverage": None}, ["coverage: 0 of exactly 1"]),
        ({"date": None}, ["date: 0 of exactly 1"]),
        ({"coverage-assertion-id": None}, ["coverage-assertion-id: 0 of exactly 1"]),
        ({"covered": code("perhaps")}, ["covered is 'perhaps'"]),
        ({"pa-needed": code("auth-needed"), "doc-needed": code("both"), "doc-purpose": code("withpa")}, []),
        ({"pa-needed": code("no")}, ["pa-needed is 'no'"]),
        ({"questionnaire": {"valueCanonical": "q"}}, ["crd-ci-q1: a questionnaire without doc-needed"]),
        ({"response": {"valueReference": {}}}, ["crd-ci-q1: a questionnaire without doc-needed"]),
        ({"questionnaire": {"valueCanonical": "q"}, "doc-needed": code("admin")}, []),
        ({"covered": code("not-covered")}, []),
        ({"covered": code("not-covered"), "pa-needed": code("no-auth")}, ["crd-ci-q2: pa-needed although not-covered"]),
        ({"info-needed": code("performer")}, ["crd-ci-q3: info-needed, and nothing is conditional"]),
        ({"info-needed": code("performer"), "covered": code("conditional")}, []),
        ({"info-needed": code("location"), "pa-needed": code("conditional")}, []),
        ({"info-needed": code("OTH"), "doc-needed": code("conditional")}, []),
        ({"pa-needed": code("satisfied")}, ["crd-ci-q5: satisfied and its number go together"]),
        ({"satisfied-pa-id": {"valueString": "1"}}, ["crd-ci-q5: satisfied and its number go together"]),
        ({"pa-needed": code("satisfied"), "satisfied-pa-id": {"valueString": "1"}}, []),
        ({"pa-needed": code("satisfied"), "satisfied-pa-id": {"valueString": "1"}, "doc-purpose": code("withpa")},
         ["crd-ci-q4: documents for an authorization that is given"]),
    ],
)  # fmt: skip
def test_a_note_on_coverage_has_the_codes_and_keeps_the_constraints_of_crd(changes: Json, wrong: list[str]) -> None:
    check = CHECKS["coverage_information_on_a_ServiceRequest_keeps_its_profile"]
    server = payer(note(**changes)).server(check)
    server.services = PAYER[:1]
    where = "! CRD-276 at systemActions[0].resource.extension[0]: "
    assert server.verdict(check) == [f"{where}{message} []" for message in wrong]


def _option(**changes: Any) -> Json:
    whole = {"code": "claim", "type": "boolean", "name": "n", "description": "d", "default": False}
    return {name: value for name, value in (whole | changes).items() if value is not None}


def _entry(*options: Json) -> Json:
    return {"id": "s", "extension": {"davinci-crd.configuration-options": list(options)}}


def test_the_options_of_a_payer_are_whole() -> None:
    lists = "a_payer_lists_its_configuration_options"
    nothing = "no service has davinci-crd.configuration-options"
    assert (found(lists, _entry()), found(lists, {"id": "s"})) == (nothing, nothing)
    assert found(lists, _entry(_option(), _option(type="integer", default=0))) == []
    first, second = (f"extension.davinci-crd.configuration-options[{number}]" for number in (0, 1))
    assert found(lists, _entry(_option(code="", type=5), _option(name=None, description=None, default=None))) == [
        ("CRD-110", first, "code is ''"),
        ("CRD-111", first, "type is 5"),
        ("CRD-112", second, "name is missing"),
        ("CRD-113", second, "description is missing"),
        ("CRD-114", second, "no default"),
    ]
    assert found(lists, _entry(_option(type="string"))) == [("CRD-111", first, "type is 'string'")]


def test_options_have_codes_of_crd_and_are_told_apart() -> None:
    names = "codes_of_options_are_names_of_card_types"
    assert found(names, _entry(_option(), _option(code="limits", name="m", description="e"))) == []
    options = (_option(), _option(name="m"), _option(code="weather", name="k", description="d"))
    assert found(names, _entry(*options)) == [
        ("CRD-121", "extension.davinci-crd.configuration-options[2]", "code is 'weather'"),
        ("CRD-122", "", "2 options have the code 'claim'"),
        ("CRD-122", "", "3 options have the description 'd'"),
    ]


def _card(code: str = "claim", **members: Any) -> Json:
    return {"source": {"topic": TOPIC | {"code": code}}, **members}


def test_the_suggestions_of_a_payer_have_a_uuid() -> None:
    name = "suggestions_of_a_payer_have_a_uuid"
    assert found(name, {"suggestions": [{}]}) == "no card of a payer came"
    assert found(name, _card()) == "no card of a payer has a suggestion"
    assert found(name, _card(suggestions=[{"uuid": "u"}, {"uuid": 5}, {}])) == [
        ("CRD-77", "suggestions[1].uuid", "uuid is a number, not a string"),
        ("CRD-77", "suggestions[1]", "no uuid"),
        ("CRD-77", "suggestions[2]", "no uuid"),
    ]


def test_a_reference_to_a_rule_is_linked_by_its_address() -> None:
    name = "a_reference_to_a_rule_has_absolute_links"
    assert found(name, _card()) == "no external reference came"
    assert found(name, _card("guideline", suggestions=[])) == "no external reference came"
    assert found(name, _card("guideline")) == [("CRD-258", "", "no link")]
    links = [{"type": "absolute"}, {"type": "smart"}]
    assert found(name, _card("guideline", links=links)) == [("CRD-259", "links[1]", "type is 'smart'")]


def test_an_instruction_and_its_order_are_written_out() -> None:
    detail = "a_payer_returns_instructions"
    for code_of_none in ("guideline", "coverage-info", "insurance"):
        assert found(detail, _card(code_of_none)) == "no instruction came"
    assert found(detail, _card()) == [("CRD-249", "", "no detail")]
    assert found(detail, _card(detail="Ask for a form.")) == []
    order = "a_card_says_which_order_it_is_about"
    assert found(order, _card()) == [("CRD-140", "", "neither detail nor davinci-associated-resource")]
    assert found(order, _card(extension={"davinci-associated-resource": "x"})) == []
    assert found(order, _card(detail="On the scan.")) == []
    assert found(order, {}) == "no card of a payer came"


def test_a_coverage_is_proposed_once() -> None:
    name = "a_coverage_is_proposed_in_one_suggestion"
    assert found(name, _card()) == "no card proposes a Coverage"
    counts = {0: [("CRD-306", "", "0 suggestions")], 1: [], 2: [("CRD-306", "", "2 suggestions")]}
    assert {count: found(name, _card("insurance", suggestions=[{}] * count)) for count in counts} == counts


def test_a_task_for_a_form_has_what_its_profile_asks_for() -> None:
    name = "a_task_for_a_form_keeps_its_profile"
    whole: Json = {
        "resourceType": "Task", "status": "ready", "intent": "order", "for": {}, "authoredOn": "2026-11-20",
        "requester": {}, "input": [{"type": {"text": "form"}}, {"type": {"text": "after-completion-action"}}],
    }  # fmt: skip
    assert found(name, {"resource": whole}) == []
    assert found(name, {"resource": {"resourceType": "ServiceRequest"}}) == "no Task for a form came"
    members = ("status", "intent", "for", "authoredOn", "requester", "input")
    assert found(name, {"resource": {"resourceType": "Task"}}) == [
        ("CRD-299", f"resource.{member}", f"{member} is not as the profile has it") for member in members
    ]
    wrong = whole | {"status": "draft", "intent": "plan", "input": whole["input"][:1]}
    assert found(name, {"resource": wrong}) == [
        ("CRD-299", f"resource.{member}", f"{member} is not as the profile has it")
        for member in ("status", "intent", "input")
    ]


# The kit's checks of a payer's server: CRD's requirements on our own server, and faults that are planted in it.
# Without a second coverage, other types of orders, and rows of a payer's own nothing shows these.
UNSEEN = {"CRD-77", "CRD-264", "CRD-273", "CRD-274", "CRD-275", "CRD-277", "CRD-299", "CRD-306"}


@pytest.fixture(name="server", scope="module")
def our_own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of our server, in a thread of this process."""
    with serving_here(tmp_path_factory.mktemp("payer")) as address:
        yield address


def checked(server: str, *only: str) -> Report:
    """The report on a server with the sample patient who has a coverage."""
    as_of = datetime.now(UTC)
    connection = Connection(server, timeout_seconds=60)
    target = Target(connection, sample_charts(as_of, only=("af-apixaban-dose",)), as_of, DIALECTS["crd"])
    report = run_checks(target, select_checks(only, "crd"))
    connection.close()
    return report


def test_every_requirement_is_held_not_seen_or_said_to_be_invisible(server: str) -> None:
    report = checked(server, "CRD")
    results = {row.row.id: row.result for row in report.rows if row.row.section == "CRD"}
    assert [(finding.row.id, finding.faults) for finding in report.musts] == []
    assert {name for name, result in results.items() if result is Result.NOT_SEEN} == UNSEEN
    assert {name for name, result in results.items() if result is Result.ADVICE} == {"CRD-163"}
    assert sum(result is Result.HELD for result in results.values()) >= 45
    assert len(results) == 91


def test_the_rows_are_those_of_the_table_of_requirements() -> None:
    table = (ROOT / "docs" / "crd-requirements.md").read_text(encoding="utf-8")
    numbers = {row.id.removeprefix("CRD-") for row in rows().values() if row.section == "CRD"}
    assert numbers == {line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line[2:3].isdigit()}


def _without(name: str) -> Callable[..., Json]:
    def write(*arguments: Any) -> Json:
        extension = original(*arguments)
        return extension | {"extension": [part for part in extension["extension"] if part["url"] != name]}

    original = coverage_information
    return write


def _with(**part: Any) -> Callable[..., Json]:
    def write(*arguments: Any) -> Json:
        extension = original(*arguments)
        return extension | {"extension": [*extension["extension"], part]}

    original = coverage_information
    return write


@pytest.mark.parametrize(
    ("row", "name", "fault"),
    [
        ("CRD-276", "coverage_information", _without("date")),
        ("CRD-276", "coverage_information", _with(url="info-needed", valueCode="weather")),
        ("CRD-276", "coverage_information", _with(url="satisfied-pa-id", valueString="N1")),
        ("CRD-276", "coverage_information", _with(url="covered", valueCode="covered")),
        ("CRD-167", "_for_hook", lambda answer, _: answer),
        ("CRD-267", "says_the_same", lambda *_: False),
        ("CRD-116", "_options", lambda _: dict.fromkeys(("coverage-info", "claim", "guideline", "insurance",
                                                         "therapy-alternatives-opt"), True)),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(
    server: str, monkeypatch: pytest.MonkeyPatch, row: str, name: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(_coverage, name, fault)
    assert row in {finding.row.id for finding in checked(server, row).findings}


def test_the_rows_of_a_payer_are_no_rows_of_other_reports(server: str) -> None:
    assert not [check for check in select_checks((), "standard") if check.row.startswith("CRD")]
    connection = Connection(server)
    now = datetime.now(UTC)
    report = run_checks(Target(connection, (), now), select_checks(("DISC",), "standard"))
    connection.close()
    assert not [row for row in report.rows if row.row.section == "CRD"]
