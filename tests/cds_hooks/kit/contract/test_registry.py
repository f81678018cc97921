"""The tables of the kit say what the checklist says, and every row that can be seen from outside has a check."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_hooks.kit.contract.charts import read_patient_chart, sample_charts, with_new_identities
from cds_hooks.kit.contract.definitions import FIELDS, HOOKS, NON_ADHERENCE_CODES, R4_TYPES, fields_of
from cds_hooks.kit.contract.document import (
    DEFINED,
    MUST,
    Node,
    NotTested,
    Subject,
    observe,
    parse_json,
)
from cds_hooks.kit.contract.registry import SECTIONS, Check, all_checks, rows
from cds_hooks.kit.contract.report import Outcome
from cds_hooks.kit.contract.requests import contexts_for
from cds_hooks.kit.contract.run import UnreadableDocument, check_document, check_file, kind_of, select_checks
from cds_hooks.kit.simulator.chart import ChartError
from tests.cds_hooks.kit.contract.conftest import AS_OF
from tests.conftest import examples
from tests.each import for_each, for_rows


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


MORE = {"topic", "code", "resourceType", "reference", "contained", "quantity", "value"}
NAMES = sorted({name for members in DEFINED.values() for name in members} | MORE)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
WORDS = st.sampled_from(
    ["create", "delete", "update", "absolute", "smart", "{{context.patientId}}", "Patient?x", "%a|"]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=25,
)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"17", b'{"resourceType": "Patient"}'])
def test_a_file_that_is_neither_is_refused_with_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableDocument, match=r"JSON|neither|object"):
        check_file(path, select_checks([], "standard"))


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="cannot be read"):
        check_file(tmp_path / "nothing.json", select_checks([], "standard"))


@pytest.mark.parametrize("subject", [Subject.DISCOVERY, Subject.RESPONSE, Subject.CARD, Subject.ENTRY])
@settings(max_examples=examples(150), deadline=None)
@given(value=VALUES)
def test_no_document_makes_a_check_fail(subject: Subject, value: Any) -> None:
    _judge(subject, value)


def _judge(subject: Subject, value: Any) -> None:
    outcomes = [Outcome(check) for check in all_checks()]
    check_document(subject, Node(value), outcomes)
    assert not [each for each in outcomes if "could not read" in " ".join(each.reasons)]


# Documents under test: read strictly, their parts, and where everything stands.


@for_rows(
    ("body", "value", "problem", "repeated"),
    [
        (b'{"a": 1}', {"a": 1}, "", ()),
        (b'{"b": 1, "a": 2, "b": 3, "a": 4, "c": 5}', {"b": 3, "a": 4, "c": 5}, "", ("a", "b")),
        (b"NaN", None, "NaN is not a JSON number", ()),
        (b"null", None, "", ()),
    ],
)
def test_a_body_is_read_strictly(body: bytes, value: Any, problem: str, repeated: tuple[str, ...]) -> None:
    document = parse_json(body)
    assert (document.value, document.problem, document.repeated) == (value, problem, repeated)


def test_what_is_not_seen_is_not_tested() -> None:
    observe([1], "nothing was seen")
    with pytest.raises(NotTested, match="nothing was seen"):
        observe([], "nothing was seen")


@for_rows(
    ("document", "kind"),
    [
        ([{"code": "x"}, {"code": "y"}], Subject.OVERRIDE_REASON),
        ({"icon": "x"}, Subject.SOURCE),
        ({"resource": {}}, Subject.SUGGESTED_ACTION),
        ({"hook": "x", "summary": "y"}, Subject.ENTRY),
        ([], None),
        ([{"code": "x"}, 1], None),
        ([{"code": "x"}, {}], None),
        (5, None),
        ({"odd": 1}, None),
    ],
)
def test_what_a_document_is(document: Any, kind: Subject | None) -> None:
    if kind is not None:
        assert kind_of(document) is kind
        return
    with pytest.raises(UnreadableDocument, match=r"the document is not a JSON object|neither a discovery document"):
        kind_of(document)


TYPES = {"string": str, "array": list, "object": dict}


def _file(folder: Path, document: Any) -> Path:
    path = folder / "chart.json"
    path.write_text(json.dumps(document))
    return path


@for_rows("hook", HOOKS)
def test_every_sample_gets_a_context_with_all_required_fields_of_their_type(hook: str) -> None:
    for chart in sample_charts(AS_OF):
        for _, context in contexts_for(hook, chart):
            for field in fields_of(hook):
                if field.required or field.name in context:
                    assert isinstance(context[field.name], TYPES[field.type]), (chart.name, field.name)


def test_each_run_is_about_patients_that_a_server_has_not_seen() -> None:
    charts = sample_charts(AS_OF)
    one, other = with_new_identities(charts), with_new_identities(charts)
    for chart, first, second in zip(charts, one, other, strict=True):
        assert len({chart.patient_id, first.patient_id, second.patient_id}) == 3
        assert len(first.patient_id) <= 64
        sent = json.dumps([first.resources, [(draft.order, draft.beside) for draft in first.drafts]])
        assert f'"Patient/{chart.patient_id}"' not in sent
        assert sent.count(f'"Patient/{first.patient_id}"') == json.dumps(
            [chart.resources, [(draft.order, draft.beside) for draft in chart.drafts]]
        ).count(f'"Patient/{chart.patient_id}"')


@pytest.mark.parametrize("document", [[], "text", {"resourceType": "Bundle"}, {"resourceType": "Condition", "id": "1"}])
def test_a_file_without_one_patient_is_refused_with_a_sentence(document: Any, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match=r"object|0 patients"):
        read_patient_chart(_file(tmp_path, document))


def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="cannot be read"):
        read_patient_chart(tmp_path / "nothing.json")


KINDS = ("discovery-response", "prefetch-templates", "response", "card", "source", "action", "overrideReasons")
# Where the kit says more than the index: file → rows, with the reason.
DIFFERENCES = {
    "discovery-response-vtest-extension.json": {"EXT-02"}, "discovery-response-crd.json": {"TOK-02"},
    "action-create-1.json": {"GEN-08"},
}  # fmt: skip


@pytest.fixture
def index(spec_folder: Path) -> list[dict[str, Any]]:
    """The entries for documents that a server sends."""
    entries = json.loads((spec_folder / "examples-index.json").read_text())
    return [entry for entry in entries if entry["kind"] in KINDS]


@pytest.mark.outside_data
def test_the_kit_finds_in_each_example_what_the_index_names(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    assert len(index) == 38
    for entry in index:
        report = check_file(spec_folder / "examples" / entry["file"], select_checks([], "standard"))
        found = {finding.row.id for finding in report.findings}
        named = {row for row, _ in entry["findings"]}
        assert found == named | DIFFERENCES.get(entry["file"], set()), entry["file"]


@pytest.mark.outside_data
def test_the_kit_finds_each_prefetch_key_that_the_index_names(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    checked = 0
    for entry in index:
        report = check_file(spec_folder / "examples" / entry["file"], select_checks(["TOK", "QRY"], "standard"))
        found = {
            (finding.check.row, fault.message.partition(":")[0])
            for finding in report.outcomes
            for fault in finding.faults
        }
        named = {(row, text.partition(":")[0]) for row, text in entry["findings"] if row[:3] in ("TOK", "QRY")}
        assert named <= found, entry["file"]
        checked += len(named)
    assert checked > 20


@pytest.mark.outside_data
def test_examples_without_a_must_are_those_that_conform(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    conformant = [
        entry["file"]
        for entry in index
        if not check_file(spec_folder / "examples" / entry["file"], select_checks([], "standard")).musts
    ]
    assert "response-cards-1.json" in conformant
    assert "response-crd-2.json" in conformant
    assert "response-autolaunchable.json" not in conformant
    assert "response-vtest-suggestion.json" not in conformant
