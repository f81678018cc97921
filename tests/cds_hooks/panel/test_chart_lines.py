"""What is read of a folder before its resources are: types, codes, whose a line is, and charts of two people."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.panel.chart_lines import (
    ChartLines,
    GroupingTally,
    Wanted,
    head_of,
    is_packed,
    medications_of,
    opened,
    patient_of,
    read_with_faults,
)
from cds_hooks.panel.grouping import charts_of, files_of, files_passed_over, is_lines
from cds_hooks.panel.partitioning import Block, Partitioner, Partitions, grouped, kind_of
from cds_hooks.prefetch.needs import Needs
from fhir.record.refusals import Refusal
from models_onnx.errors import PanelRefused

Json = dict[str, Any]
BOM = b"\xef\xbb\xbf"


def line_of(resource: Json) -> bytes:
    """The resource as servers write it, with a line break."""
    return json.dumps(resource, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"resourceType":"Patient","id":"1"}', "Patient"),
        (b'{"resourceType":"Patient', ""),
        (b'{ "resourceType":"Patient"}', ""),
        (b' {"resourceType":"Patient"}', ""),
        (b'{"id":"1","resourceType":"Patient"}', ""),
        (b'{"resourceType":""}', ""),
        (b"", ""),
    ],
)
def test_the_type_is_told_where_it_is_the_first_member(line: bytes, kind: str) -> None:
    assert kind_of(line) == kind


@pytest.mark.parametrize(
    ("resource", "patient"),
    [
        ({"resourceType": "Patient", "id": "p", "subject": {"reference": "Patient/x"}}, "p"),
        ({"resourceType": "Condition", "subject": {"reference": "Patient/p"}}, "p"),
        ({"resourceType": "Condition", "subject": {"reference": "https://ehr.example/fhir/Patient/p"}}, "p"),
        ({"resourceType": "Condition", "subject": {"reference": "urn:uuid:1"}}, "p"),
        ({"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/p"}}, "p"),
        ({"resourceType": "Claim", "subject": {"reference": "Patient/a"}, "patient": {"reference": "Patient/b"}}, "a"),
        ({"resourceType": "Claim", "subject": {"display": "x"}, "patient": {"reference": "Patient/b"}}, "b"),
        ({"resourceType": "Condition", "subject": {"reference": ""}}, None),
        ({"resourceType": "Condition"}, None),
        ({"resourceType": "Patient"}, None),
    ],
)
def test_whose_a_resource_is(resource: Json, patient: str | None) -> None:
    head = head_of(line_of(resource))
    assert head is not None
    assert patient_of(head, {"urn:uuid:1": "Patient/p"}) == patient


@pytest.mark.parametrize("line", [b"[]", b"{", b'"x"', b'{"resourceType":5}', b'{"id":"\xff"}'])
def test_what_is_no_resource_has_no_head(line: bytes) -> None:
    assert head_of(line) is None


def test_which_types_and_codes_are_read_for_what_is_needed() -> None:
    creatinine = Wanted.of(Needs.of(analytes=("creatinine",), resources=("MedicationRequest",)))
    assert creatinine.types == {"Patient", "Observation", "MedicationRequest", "Medication"}
    assert "2160-0" in creatinine.codes
    assert "85354-9" not in creatinine.codes, "a panel of pressures is read for pressures"
    pressure = Wanted.of(Needs.of(analytes=("sbp",)))
    assert pressure.types == {"Patient", "Observation"}
    assert {"8480-6", "85354-9"} <= pressure.codes
    assert Wanted.of(Needs.of()).codes == frozenset()
    assert Wanted.of(Needs.of(analytes=("genomics", "creatinine"))).codes == frozenset()


def observation(coding: list[Json] | None = None, text: str | None = None, **more: Any) -> Json:
    """An Observation of this code."""
    code: Json = {"coding": coding} if coding is not None else {}
    return {"resourceType": "Observation", "code": code | ({"text": text} if text else {})} | more


LOINC = "http://loinc.org"


@pytest.mark.parametrize(
    ("resource", "is_taken"),
    [
        (observation([{"system": LOINC, "code": "2160-0"}]), True),
        (observation([{"system": "urn:local", "code": "2160-0"}]), True),
        (observation([{"system": LOINC, "code": "2498-4"}]), False),
        (observation([{"code": "x"}, {"system": LOINC, "code": "2160-0"}]), True),
        (observation([{"system": LOINC, "code": "x"}], component=[
            {"code": {"coding": [{"system": LOINC, "code": "2160-0"}]}}]), True),
        (observation([{"system": LOINC, "code": "x"}], component=[{}]), False),
        (observation(text="Creatinine"), True),
        (observation(text=" creatinine "), True),
        (observation(text="Ferritin"), False),
        (observation([{"system": "urn:local", "code": "7", "display": "Creatinine"}]), True),
        (observation([{"system": LOINC, "code": "x", "display": "Creatinine"}], "Creatinine"), False),
        ({"resourceType": "Observation"}, False),
        ({"resourceType": "Observation", "code": 5}, True),
        ({"resourceType": "Condition"}, False),
        ({"resourceType": "Patient"}, True),
    ],
)  # fmt: skip
def test_a_result_can_matter_by_a_code_or_where_it_has_none_by_its_name(resource: Json, *, is_taken: bool) -> None:
    wanted, line = Wanted.of(Needs.of(analytes=("creatinine",))), line_of(resource)
    assert wanted.takes(resource["resourceType"], line) is is_taken
    head = head_of(line)
    assert head is not None
    assert wanted.takes_head(head) is is_taken
    if resource["resourceType"] == "Observation":
        assert wanted.observations([line]) == ([line] if is_taken else [])


def test_a_chart_is_its_lines_its_blocks_and_what_it_shares() -> None:
    chart = ChartLines("p", [b"a"], (b"d",), [b"b\n\nc\n"])
    assert chart.together() == b"a\nb\n\nc\n\nd"
    assert chart.resources() == [b"a", b"b", b"c", b"d"]


def test_the_medications_that_a_chart_names_are_shared_with_it() -> None:
    shared = {b"1": b"one", b"2": b"two", b"3": b"three"}
    blocks = [b'{"reference":"Medication/3"}\n{"reference":"Medication/1"}', b'"Medication/9"', b'"Location/2"']
    assert medications_of(blocks, shared) == (b"one", b"three")


def test_a_resource_is_read_with_what_is_wrong_in_it() -> None:
    refusals: list[Refusal] = []
    assert read_with_faults(b"{", refusals) == []
    assert refusals == [Refusal("chart", "unreadable", "A line of the chart is not valid JSON: not used.")]
    (patient,) = read_with_faults(b'{"resourceType":"Patient","id":"p"}', refusals)
    assert (patient.id, len(refusals)) == ("p", 1)


def test_the_first_file_with_what_is_no_fhir_is_named() -> None:
    tally = GroupingTally(unreadable=3)
    for name, before in (("a", 3), ("b", 2), ("c", 0)):
        tally.note_file(Path("folder") / name, before)
    assert tally.unreadable_in == "b"


@pytest.mark.parametrize(
    ("name", "content", "packed"),
    [
        ("a.json", gzip.compress(b"{}", mtime=0), True), ("a.json.gz", gzip.compress(b"{}", mtime=0), True),
        ("a.json.gz", b"{}", False),
        ("a.JSON.GZ", b"x", True), ("a.json", b"x", False), ("a.json.gz", BOM + b"{}", False),
        ("a.json.gz", b"", False),
    ],
)  # fmt: skip
def test_a_file_is_packed_by_its_beginning_or_by_its_name(
    tmp_path: Path, name: str, content: bytes, *, packed: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_packed(tmp_path / name) is packed


@pytest.mark.parametrize(
    "content", [b"ab\n", BOM + b"ab\n", gzip.compress(b"ab\n", mtime=0), gzip.compress(BOM + b"ab\n", mtime=0)]
)
def test_a_file_is_read_from_behind_its_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with opened(tmp_path / "a") as file:
        assert file.read() == b"ab\n"


def test_the_files_of_a_folder_are_those_of_a_form_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.ndjson", "a.JSONL.gz", "sub/c.json", "d.json.gz", "e.csv", ".hidden", "sub/f.ndjson.txt", "g.gz"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in files_of(tmp_path)] == ["a.JSONL.gz", "b.ndjson", "d.json.gz", "c.json"]
    assert [path.name for path in files_passed_over(tmp_path)] == ["e.csv", "g.gz", "f.ndjson.txt"]
    assert [is_lines(Path(name)) for name in ("a.NDJSON", "a.jsonl.gz", "a.json")] == [True, True, False]
    (tmp_path / "empty").mkdir()
    for folder, sentence in (
        (tmp_path / "empty", f"{tmp_path / 'empty'} holds no bundle (.json) and no NDJSON (.ndjson, .jsonl), packed "
         "with gzip (.gz) or not."),
        (tmp_path / "b.ndjson", f"{tmp_path / 'b.ndjson'} is not a folder."),
    ):  # fmt: skip
        with pytest.raises(PanelRefused) as refused:
            files_of(folder)
        assert str(refused.value) == sentence


def test_the_references_of_a_bundle_are_read_by_what_its_addresses_stand_for(tmp_path: Path) -> None:
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p"}},
        {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Condition", "id": "c", "code": {"text": "a\u2028b"},
                                               "subject": {"reference": "urn:uuid:1"}}},
        {"resource": {"resourceType": "Condition", "id": "d", "subject": {"reference": "urn:uuid:9"}}},
        {"fullUrl": "urn:uuid:3"},
        {"resource": {"id": "no type"}},
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "entry": entries}
    (tmp_path / "a.json").write_text(json.dumps(bundle, indent=1))
    wanted, tally, progress = Wanted(frozenset({"Patient", "Condition"}), frozenset()), GroupingTally(), list[int]()
    charts = list(charts_of(tmp_path, wanted, tally, progress.append))
    # The patient who has an address that the bundle does not hold is not in the folder.
    assert [chart.patient_id for chart in charts] == ["p"]
    read = [json.loads(resource) for resource in charts[0].resources()]
    assert [(each["id"], each.get("subject")) for each in read] == [("p", None), ("c", {"reference": "Patient/p"})]
    assert tally == GroupingTally(resources=4, used=3, without_patient=1, unreadable=1, unreadable_in="a.json")
    assert progress == [4]


PERSON = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1960-02-03"}


def block(patient: bytes, *resources: Json) -> Block:
    """Lines of a patient as they came."""
    has_patient = any(resource["resourceType"] == "Patient" for resource in resources)
    return Block(patient, has_patient, b"".join(map(line_of, resources)))


CONDITION = {"resourceType": "Condition", "id": "c"}


def test_charts_are_given_of_patients_who_are_in_the_folder() -> None:
    tally = GroupingTally()
    taken = {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/m"}}
    blocks = [
        block(b"q", CONDITION, CONDITION), block(b"p", taken), block(b"a", PERSON | {"id": "a"}), block(b"p", PERSON),
        block(b"q", CONDITION), block(b"p", CONDITION),
    ]  # fmt: skip
    charts = list(grouped(blocks, {b"m": b"medication"}, tally))
    assert charts == [
        ChartLines("a", blocks=[line_of(PERSON | {"id": "a"})]),
        ChartLines("p", blocks=[line_of(taken), line_of(PERSON), line_of(CONDITION)], shared=(b"medication",)),
    ]
    assert tally == GroupingTally(without_patient=3)


@pytest.mark.parametrize(
    ("other", "two"),
    [
        ({}, False), ({"gender": "male"}, True), ({"gender": None}, False), ({"birthDate": "1960"}, False),
        ({"birthDate": "1960-02-04"}, True), ({"birthDate": None}, False), ({"birthDate": "1961"}, True),
        ({"name": [{"family": "X"}]}, False),
    ],
)  # fmt: skip
def test_patients_of_one_id_may_be_two_people(other: Json, *, two: bool) -> None:
    for people in ([PERSON, PERSON | other], [PERSON | other, PERSON], [PERSON, PERSON, PERSON | other]):
        tally = GroupingTally()
        charts = list(grouped([block(b"p", each) for each in people], {}, tally))
        assert (len(charts), tally.two_persons) == ((0, 1) if two else (1, 0))


def test_a_patient_that_cannot_be_read_differs_from_nobody() -> None:
    tally = GroupingTally()
    strange = Block(b"p", True, b'{"resourceType":"Patient","gender":"\xff"}\n')
    assert len(list(grouped([strange, block(b"p", PERSON), strange], {}, tally))) == 1
    assert tally == GroupingTally()


def put(tmp_path: Path, *lines: bytes) -> tuple[list[tuple[bytes, bytes]], GroupingTally, dict[bytes, bytes]]:
    """Where these lines of a file go, by patient, what was counted, and the Medications."""
    tally, wanted = GroupingTally(), Wanted(frozenset({"Patient", "Condition", "Medication"}), frozenset())
    with Partitions(tmp_path, 1) as partitions:
        partitioner = Partitioner(partitions, wanted, tally)
        partitioner.add_file(io.BytesIO(b"".join(lines)))
        blocks = [(one.patient, one.lines) for part in partitions.parts() for one in part]
    return blocks, tally, partitioner.shared


def condition(reference: str, **more: Any) -> bytes:
    """A problem of this patient."""
    return line_of(CONDITION | more | {"subject": {"reference": reference}})


def test_lines_go_to_their_patient_in_runs(tmp_path: Path) -> None:
    one, two, other = condition("Patient/1"), condition("Patient/1", note="x"), condition("Patient/12")
    versioned, escaped = condition("Patient/1/_history/2"), condition("Patient/1").replace(b"/1", b"\\/1")
    contained = line_of(CONDITION | {"contained": [{"subject": {"reference": "Patient/9"}}], "subject": {
        "reference": "Patient/1"}})  # fmt: skip
    goal, medication = line_of({"resourceType": "Goal"}), line_of({"resourceType": "Medication", "id": "m"})
    nobody = line_of(CONDITION)
    lines = [one, two, other, contained, one, versioned, escaped, goal, medication, nobody, b" \n", b"x\n", one[:-1]]
    blocks, tally, shared = put(tmp_path, *lines)
    assert blocks == [
        (b"1", one + two), (b"12", other), (b"1", contained), (b"1", one), (b"1", versioned), (b"1", escaped),
        (b"1", one),
    ]  # fmt: skip
    assert tally == GroupingTally(resources=12, used=8, without_patient=1, unreadable=1)
    assert shared == {b"m": medication}


def test_an_empty_file_and_one_of_one_type_are_taken_whole(tmp_path: Path) -> None:
    assert put(tmp_path)[:2] == ([], GroupingTally())
    one, two = condition("Patient/1"), condition("Patient/2")
    assert put(tmp_path, one, two)[:2] == ([(b"1", one), (b"2", two)], GroupingTally(resources=2, used=2))
