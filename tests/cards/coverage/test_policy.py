"""The files of a payer's folder: what is read from them, and each fault with its file, line and words."""

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cards.coverage.determination import find_payer
from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies, Policy, PolicyFault, load_policies, read_rows
from tests.each import for_rows

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


def test_every_cell_of_a_folder_is_read(tmp_path: Path) -> None:
    later = POLICY | {"id": "own-later", "pa_valid_days": "-1", "waived": "no", "effective_from": "2027-01-01"}
    later |= {"effective_to": "", "covered": "not-covered", "pa_needed": "", "criteria": ""}
    other = PAYER | {"payer": "other", "name": "Other", "names": "", "identifiers": ""}
    files = {
        "payers.csv": table(PAYER, other),
        "policies.csv": table(later, POLICY),
        "exempt_hospitals.csv": "hospital\n Location/H1 \n",
    }
    policies = load_policies(folder_of(tmp_path / "own", **files))
    names = frozenset({"ohp", "own plan", "own health plan"})
    identifiers = frozenset({"12345", "X-9"})
    assert policies.payers["own"] == Payer(
        "own", "Own  Health Plan", names, frozenset({"gold"}), frozenset({"dental gold"}), identifiers, "555-0100",
        "https://example.org",
    )  # fmt: skip
    first, second = policies.of_code("own", "B4150")
    assert first == ENTERAL
    assert (second.id, second.pa_valid_days, second.is_waived, second.effective_to) == ("own-later", None, False, None)
    assert [policy.id for policy in policies.every() if policy.payer == "own"] == ["own-b", "own-later"]
    criterion = Criterion(
        "a", "A", "A tube is in place", {"order": True}, "Which tube?", "Policy 1, section 2", date(2026, 2, 1),
        frozenset({"B4150"}),
    )  # fmt: skip
    assert policies.criteria_of(first) == CriteriaSet("tube", {"A": "all"}, (criterion,))
    assert policies.criteria_of(second) is None
    assert policies.exempt_hospitals == {"location/h1"}
    assert (set(policies.own_payers), policies.of_code("other", "B4150")) == ({"own", "other"}, ())


def test_a_row_has_the_cells_of_the_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1\n1,2,3\n")
    assert list(read_rows(tmp_path / "t.csv", ("a",))) == [(2, {"a": "1", "b": ""}), (3, {"a": "1", "b": "2"})]


def test_a_policy_and_a_criterion_hold_from_their_first_to_their_last_day() -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1)]
    assert [ENTERAL.is_in_force(day) for day in days] == [False, True, True, False]
    criterion = Criterion("a", "A", "", {}, "", "", date(2026, 2, 1), frozenset({"B4150"}))
    before, first = date(2026, 1, 31), date(2026, 2, 1)
    assert [criterion.applies("B4150", day) for day in (before, first)] == [False, True]
    assert not criterion.applies("B4151", first)
    assert Criterion("a", "A", "", {}, "", "").applies("any code", before)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"payer": "other"}, "line 2: the payer 'other' is not in payers.csv"),
        ({"system": "ICD"}, "line 2: system is one of HCPCS, CPT"),
        ({"covered": "maybe"}, "line 2: covered is one of listed, by-criteria, open, not-covered"),
        ({"pa_needed": "perhaps"}, "line 2: pa_needed is one of performpa, auth-needed, no-auth"),
        ({"pa_needed": ""}, "line 2: pa_needed is empty where the code is not covered, and nowhere else"),
        ({"covered": "not-covered"}, "line 2: pa_needed is empty where the code is not covered, and nowhere else"),
        ({"source": " "}, "line 2: source is required"),
        ({"effective_from": ""}, "line 2: '' is no day as YYYY-MM-DD; a table without dates is not used"),
        ({"effective_to": "soon"}, "line 2: 'soon' is no day as YYYY-MM-DD; a table without dates is not used"),
        ({"criteria": "x"}, "own-b: there are no criteria 'x'"),
        ({"criteria": ""}, "own-b: covered by criteria, and names none"),
    ],
)
def test_a_policy_with_a_fault_is_refused_with_its_line(tmp_path: Path, change: dict[str, str], fault: str) -> None:
    assert fault_of(tmp_path, **{"policies.csv": table(POLICY | change)}) == f"policies.csv, {fault}"


def test_an_id_stands_once_and_a_column_is_there(tmp_path: Path) -> None:
    twice = table(POLICY, POLICY | {"code": "B4151"})
    assert fault_of(tmp_path, **{"policies.csv": twice}) == "policies.csv, line 3: the id own-b stands twice"
    (tmp_path / "b").mkdir()
    without = table({name: cell for name, cell in POLICY.items() if name not in ("code", "source")})
    assert fault_of(tmp_path / "b", **{"policies.csv": without}) == "policies.csv, line 1: the column code is missing"
    (tmp_path / "c").mkdir()
    assert fault_of(tmp_path / "c", **{"policies.csv": ""}) == "policies.csv, line 1: the column id is missing"


@pytest.mark.parametrize("missing", ["payer", "name"])
def test_a_payer_has_an_id_and_a_name(tmp_path: Path, missing: str) -> None:
    payers = table(PAYER, PAYER | {missing: ""})
    assert fault_of(tmp_path, **{"payers.csv": payers}) == "payers.csv, line 3: payer and name are required"


def test_a_folder_begins_with_who_pays_and_its_tables_are_text(tmp_path: Path) -> None:
    with pytest.raises(PolicyFault) as refusal:
        load_policies(tmp_path)
    assert str(refusal.value) == f"{tmp_path} has no payers.csv: a payer's folder begins with who pays (docs/payers.md)"
    folder = folder_of(tmp_path / "own")
    (folder / "policies.csv").write_bytes(table(POLICY, POLICY).encode() + b"\xff\n")
    with pytest.raises(PolicyFault) as refusal:
        load_policies(folder)
    assert str(refusal.value) == "policies.csv, line 4: this cannot be read as CSV in UTF-8"
    (folder / "policies.csv").write_text(table(POLICY, POLICY | {"id": "c", "detail": "x" * 200_000}))
    with pytest.raises(PolicyFault) as refusal:
        load_policies(folder)
    assert str(refusal.value) == "policies.csv, line 3: this cannot be read as CSV in UTF-8"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"group": ["A"]}, ", group: Expected `str`, got `array`"),
        ({"colour": "red"}, ": Object contains unknown field `colour`"),
        ({"group": "B"}, ", group: there is no group 'B'"),
        ({"text": 1}, ", text: Expected `str`, got `int`, not 1"),
        ({"effective_from": 1}, ", effective_from: Expected `date | null`, got `int`, not 1"),
        ({"effective_from": "soon"}, ", effective_from: Invalid RFC3339 encoded date, not 'soon'"),
        ({"only_codes": "B4150"}, ", only_codes: Expected `array`, got `str`, not 'B4150'"),
        ({"only_codes": ["B4150", 1]}, ", only_codes, 2: Expected `str`, got `int`, not 1"),
        ({"test": {}}, ", test: Expected `object` of length >= 1"),
        ({"source": ""}, ", source: Expected `str` of length >= 1, not ''"),
    ],
)
def test_a_criterion_with_a_fault_is_refused_with_its_set(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    criteria = {"tube": {"groups": {"A": "all"}, "criteria": [CRITERION | change]}}
    assert (
        fault_of(tmp_path, **{"criteria.json": json.dumps(criteria)})
        == f"criteria.json, tube, criteria, {CRITERION['id']}{fault}"
    )


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], ", line 1: this is not a JSON object"),
        ({"tube": []}, ", tube: Expected `object`, got `array`"),
        ({"tube": {"groups": {}}}, ", tube: Object missing required field `criteria`"),
        ({"tube": {"groups": [], "criteria": []}}, ", tube, groups: Expected `object`, got `array`"),
        ({"tube": {"groups": {}, "criteria": {}}}, ", tube, criteria: Expected `array`, got `object`"),
        ({"tube": {"groups": {"A": "any", "B": "some"}, "criteria": []}}, ", tube, groups: Invalid enum value 'some'"),
        (
            {"tube": {"groups": {"A": "any"}, "criteria": [CRITERION, CRITERION]}},
            ", tube, criteria, a, id: the id a stands twice",
        ),
        (
            {"tube": {"groups": {"A": "any"}, "criteria": ["x"]}},
            ", tube, criteria, 1: Expected `object`, got `str`, not 'x'",
        ),
        (
            {"tube": {"groups": {"A": "any"}, "criteria": [CRITERION | {"id": 3}]}},
            ", tube, criteria, 1, id: Expected `str`, got `int`, not 3",
        ),
        (
            {"tube": {"groups": {"A": "any"}, "criteria": [{"id": "a", "group": "A"}]}},
            ", tube, criteria, a: Object missing required field `text`",
        ),
    ],
)
def test_a_file_of_criteria_with_a_fault_is_refused(tmp_path: Path, document: Any, fault: str) -> None:
    assert fault_of(tmp_path, **{"criteria.json": json.dumps(document)}) == f"criteria.json{fault}"


def test_criteria_that_are_no_json_are_refused_and_a_folder_without_criteria_is_read(tmp_path: Path) -> None:
    fault = fault_of(tmp_path, **{"criteria.json": "{"})
    assert fault.startswith("criteria.json: not valid JSON (Input data was truncated)")
    folder = folder_of(tmp_path / "b", **{"policies.csv": table(POLICY | {"covered": "listed", "criteria": ""})})
    (folder / "criteria.json").unlink()
    policies = load_policies(folder)
    assert isinstance(policies, Policies)
    assert policies.criteria.keys() == load_policies().criteria.keys()


@pytest.mark.parametrize(("content", "line"), [(b"\xff", 1), (b"\n\xff", 2), (b"id\n\n\xff\n", 3)])
def test_a_table_that_is_no_text_is_refused_with_the_line_of_the_first_such_byte(
    content: bytes, line: int, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "own")
    (folder / "policies.csv").write_bytes(content)
    with pytest.raises(PolicyFault) as refusal:
        load_policies(folder)
    assert str(refusal.value) == f"policies.csv, line {line}: this cannot be read as CSV in UTF-8"


_OFFICIAL = re.compile(
    r"\b(?:cms\.gov|ecfr\.gov|federalregister\.gov|law\.cornell\.edu|cgsmedicare\.com|gpo\.gov|noridianmedicare\.com|ngsmedicare\.com"
    r"|medicare\.fcso\.com)/|\b\d\d FR \d{4,}|\b42 CFR \d"
)


def test_every_rule_of_medicare_rests_on_cms_a_contractor_or_the_law() -> None:
    rows = [policy for policy in load_policies().every() if policy.payer == "medicare"]
    assert len(rows) > 200
    assert [policy.id for policy in rows if not _OFFICIAL.search(policy.source)] == []


@for_rows(
    ("kind", "plan", "payer"),
    [
        ("121", "Part B", "medicare"),
        (None, "Part A", "medicare"),
        (None, "Part C", None),
        (None, "Part D", None),
        ("112", "Part B", None),
        ("122", "Part B", None),
    ],
)
def test_a_coverage_of_blue_button_is_original_medicare_by_its_type_and_part(
    kind: str | None, plan: str, payer: str | None
) -> None:
    coverage: dict[str, Any] = {
        "class": [{"value": "Medicare"}, {"value": plan}],
        "payor": [{"identifier": {"value": "Centers for Medicare and Medicaid Services"}}],
    }
    for system in ("https://nahdo.org/sopt", "urn:oid:2.16.840.1.113883.3.221.5"):
        if kind is not None:
            coverage["type"] = {"coding": [{"system": system, "code": kind}]}
        read = find_payer(coverage, load_policies(), {})
        assert (read.id if read is not None else None) == payer
