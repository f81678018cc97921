"""The files of a payer's folder: what is read from them, and each fault with its file, line and words."""

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cards.coverage.policy import Criterion, Policy, PolicyFault, load_policies
from tests.each import each_row

PAYER = {
    "payer": "own", "name": "Own  Health Plan", "names": "OHP| Own   Plan |", "plans": "Gold",
    "not_plans": "Dental Gold|", "identifiers": "12345| X-9 ", "phone": "555-0100", "url": "https://example.org",
}  # fmt: skip
POLICY = {
    "id": "own-b", "payer": "own", "system": "HCPCS", "code": " b4150 ", "category": "Enteral formula",
    "covered": "by-criteria", "pa_needed": "auth-needed", "places": "22|24", "states": "NY", "paired_with": "B4034",
    "pa_valid_days": "120", "criteria": "tube", "waived": "yes", "effective_from": "2026-01-01",
    "effective_to": "2026-12-31", "detail": "each month", "source": "Policy 1", "reviewed": "2026-11-22",
}  # fmt: skip
CRITERION: dict[str, Any] = {
    "id": "a", "group": "A", "text": "A tube is in place", "test": {"order": True}, "question": "Which tube?",
    "source": "Policy 1, section 2", "effective_from": "2026-02-01", "only_codes": ["B4150"],
}  # fmt: skip
CRITERIA: dict[str, Any] = {"tube": {"groups": {"A": "all"}, "criteria": [CRITERION]}}


def table(*rows: Mapping[str, str]) -> str:
    """The rows as CSV, with the columns of the first."""
    return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows), ""])


def folder_of(folder: Path, **files: str) -> Path:
    """A payer's folder with one payer, one policy and its criteria, and these files in place of its own."""
    folder.mkdir()
    written = {"payers.csv": table(PAYER), "policies.csv": table(POLICY), "criteria.json": json.dumps(CRITERIA)}
    for name, text in (written | files).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def fault_of(folder: Path, **files: str) -> str:
    """The words with which a folder is refused."""
    with pytest.raises(PolicyFault) as refusal:
        load_policies(folder_of(folder / "own", **files))
    return str(refusal.value)


ENTERAL = Policy(
    "own-b", "own", "HCPCS", "B4150", "Enteral formula", "by-criteria", "auth-needed", frozenset({"22", "24"}),
    frozenset({"NY"}), frozenset({"B4034"}), 120, "tube", True, date(2026, 1, 1), date(2026, 12, 31), "each month",
    "Policy 1", "2026-11-22",
)  # fmt: skip


def test_a_policy_and_a_criterion_hold_from_their_first_to_their_last_day() -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1)]
    assert [ENTERAL.is_in_force(day) for day in days] == [False, True, True, False]
    criterion = Criterion("a", "A", "", {}, "", "", date(2026, 2, 1), frozenset({"B4150"}))
    before, first = date(2026, 1, 31), date(2026, 2, 1)
    assert [criterion.applies("B4150", day) for day in (before, first)] == [False, True]
    assert not criterion.applies("B4151", first)
    assert Criterion("a", "A", "", {}, "", "").applies("any code", before)


@each_row(("change", "fault"))
def test_a_policy_with_a_fault_is_refused_with_its_line(tmp_path: Path, change: dict[str, str], fault: str) -> None:
    assert fault_of(tmp_path, **{"policies.csv": table(POLICY | change)}) == f"policies.csv, {fault}"


@each_row(("change", "fault"))
def test_a_criterion_with_a_fault_is_refused_with_its_set(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    criteria = {"tube": {"groups": {"A": "all"}, "criteria": [CRITERION | change]}}
    assert (
        fault_of(tmp_path, **{"criteria.json": json.dumps(criteria)})
        == f"criteria.json, tube, criteria, {CRITERION['id']}{fault}"
    )


@each_row(("document", "fault"))
def test_a_file_of_criteria_with_a_fault_is_refused(tmp_path: Path, document: Any, fault: str) -> None:
    assert fault_of(tmp_path, **{"criteria.json": json.dumps(document)}) == f"criteria.json{fault}"


_OFFICIAL = re.compile(
    r"\b(?:cms\.gov|ecfr\.gov|federalregister\.gov|law\.cornell\.edu|cgsmedicare\.com|gpo\.gov|noridianmedicare\.com|ngsmedicare\.com"
    r"|medicare\.fcso\.com)/|\b\d\d FR \d{4,}|\b42 CFR \d"
)


def test_every_rule_of_medicare_rests_on_cms_a_contractor_or_the_law() -> None:
    rows = [policy for policy in load_policies().every() if policy.payer == "medicare"]
    assert len(rows) > 200
    assert [policy.id for policy in rows if not _OFFICIAL.search(policy.source)] == []
