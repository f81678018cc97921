"""The tables of the kit say what the checklist says, and every row that can be seen from outside has a check."""

import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.contract.definitions import FIELDS, NON_ADHERENCE_CODES, R4_TYPES
from cds_hooks.kit.contract.document import MUST
from cds_hooks.kit.contract.registry import SECTIONS, Check, all_checks, rows
from tests.each import for_each


@pytest.fixture
def checklist(spec_folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of the checklist by id."""
    document = json.loads((spec_folder / "cds-hooks-checklist.json").read_text())
    return {row["id"]: row for row in document["rows"]}


@pytest.mark.outside_data
def test_each_row_is_as_binding_as_the_checklist_says(checklist: dict[str, dict[str, Any]]) -> None:
    ours = {row.id: (row.strength, row.binds) for row in rows().values() if row.section not in ("HK", "EPIC", "CRD")}
    assert ours == {name: (checklist[name]["strength"], checklist[name]["binds"]) for name in ours}


@pytest.mark.outside_data
def test_the_fields_of_hooks_are_those_of_the_checklist(checklist: dict[str, dict[str, Any]]) -> None:
    theirs = [
        (row["hook"], row["field"], row["required"], row["prefetch_token"], row["json_type"])
        for name, row in checklist.items()
        if name.startswith("HK-")
    ]
    assert [(each.hook, each.name, each.required, each.token, each.type) for each in FIELDS] == theirs


@pytest.mark.outside_data
def test_the_override_codes_are_those_of_the_code_system(spec_folder: Path) -> None:
    system = json.loads((spec_folder / "examples" / "codesystem-non-adherence-reason-codes.json").read_text())
    groups = system["concept"]
    codes = {group["code"] for group in groups} | {each["code"] for group in groups for each in group["concept"]}
    assert codes == NON_ADHERENCE_CODES


@pytest.mark.outside_data
def test_the_resource_types_are_in_the_schema_of_r4(spec_folder: Path) -> None:
    import gzip

    schema = json.loads(gzip.decompress((spec_folder / "fhir-r4.schema.json.gz").read_bytes()))
    assert set(schema["discriminator"]["mapping"]) >= R4_TYPES
    assert len(R4_TYPES) == 146


def test_every_row_that_binds_a_service_and_can_be_seen_has_a_check() -> None:
    checked = {row for check in all_checks() for row in check.rows}
    visible = {row.id for row in rows().values() if row.binds_a_service and not row.unseen}
    assert visible - checked == set()
    assert len(visible) == 134


def test_a_row_that_cannot_be_seen_has_no_check_and_says_why() -> None:
    checked = {row for check in all_checks() for row in check.rows}
    unseen = {row.id: row.unseen for row in rows().values() if row.unseen}
    assert unseen.keys() & checked == set()
    assert all(len(reason) > 5 for reason in unseen.values())


def test_every_check_stands_for_known_rows_and_advises_in_one_sentence() -> None:
    for_each([(check.name, (check,)) for check in all_checks()], _stands_for_known_rows)


def _stands_for_known_rows(check: Check) -> None:
    assert set(check.rows) <= set(rows())
    assert all(rows()[row].section in SECTIONS for row in check.rows)
    assert check.advice.endswith("."), "the docstring is the sentence of advice"
    assert 20 < len(check.advice) < 160


def test_every_must_stands_for_something_binding() -> None:
    for_each([(check.name, (check,)) for check in all_checks() if check.level == MUST], _stands_for_something_binding)


def _stands_for_something_binding(check: Check) -> None:
    # SHALL; or the type and form of a member that MAY be there, which the checklist counts as SHALL when it is.
    strengths = {rows()[row].strength.rstrip("*") for row in check.rows}
    assert strengths & {"SHALL", "SHALL NOT", "MAY", "CONDITIONAL"}


def test_names_of_checks_are_sentences_and_unique() -> None:
    names = [check.name for check in all_checks()]
    assert len(names) == len(set(names))
    assert all("_" in name for name in names)
