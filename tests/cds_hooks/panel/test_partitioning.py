"""Lines are left out before they are decoded only where the record of the chart would not use them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cds_hooks.panel import partitioning
from cds_hooks.panel.chart_lines import ChartLines, GroupingTally, Wanted
from cds_hooks.panel.grouping import charts_of
from cds_hooks.panel.partitioning import Block, Partitions
from cds_hooks.panel.scoring import read_chart, score_records
from cds_hooks.panel.selection import questions_about
from cds_hooks.prefetch.needs import Needs
from cds_hooks.settings import Settings
from models_onnx.errors import PanelRefused
from tests.cds_hooks.kit.samples.reading import AS_OF

ASKED = questions_about((), Settings())
LOINC = "http://loinc.org"
# Creatinine, a pressure panel with its parts, smoking status; iron, which nothing asks for; what looks like a code.
CODES = ("2160-0", "85354-9", "8480-6", "8462-4", "72166-2", "2498-4", " 2160-0", "2160-0 ", "2160", "")


def _escaped(line: str, code: str) -> str:
    """The code written with an escape, as JSON allows it and hardly any server does."""
    return line.replace(f'"{code}"', f'"\\u{ord(code[0]):04x}{code[1:]}"') if code else line


def _type_last(line: str, _: str) -> str:
    value = json.loads(line)
    kind = value.pop("resourceType")
    return json.dumps({**value, "resourceType": kind})


WRITTEN: tuple[Callable[[str, str], str], ...] = (
    lambda line, _: line,
    _escaped,
    lambda line, _: line.replace('":', '" : '),
    lambda line, _: line.replace('"code":"', '"code": "', 1),
    lambda line, _: line.replace("Patient/p", "Patient\\/p"),
    lambda line, _: line.replace("Patient/p", "Patient/\\u0070"),
    lambda line, _: f"  {line}\t",
    _type_last,
    lambda line, _: line[:-1],
)

codings = st.lists(
    st.builds(
        lambda code, system: {"code": code, **({"system": system} if system else {})},
        st.sampled_from(CODES),
        st.sampled_from((LOINC, "http://snomed.info/sct", "urn:local", None)),
    ),
    max_size=3,
)
quantities = st.builds(
    lambda value, unit: {"value": value, "unit": unit, "code": unit},
    st.floats(0.1, 200),
    st.sampled_from(("mg/dL", "umol/L", "mm[Hg]", "x")),
)


@st.composite
def observations(draw: st.DrawFn) -> str:
    """One Observation as some server might write it."""
    found: dict[str, Any] = {"resourceType": "Observation", "id": draw(st.sampled_from("abcdef")), "status": "final"}
    if draw(st.booleans()):
        found["extension"] = [{"url": "x", "valueCoding": {"system": LOINC, "code": "2160-0"}}]
    found["code"] = {"coding": draw(codings), "text": draw(st.sampled_from(("Creatinine", "2160-0", "")))}
    found["subject"] = {"reference": "Patient/p"}
    found["effectiveDateTime"] = draw(st.sampled_from(("2026-11-01", "2026-11-01T10:00:00Z", "2019", "never")))
    found["valueQuantity"] = draw(quantities)
    if draw(st.booleans()):
        pairs = draw(st.lists(st.tuples(codings, quantities), max_size=2))
        found["component"] = [{"code": {"coding": coding}, "valueQuantity": value} for coding, value in pairs]
    line = json.dumps(found, separators=(",", ":"))
    return draw(st.sampled_from(WRITTEN))(line, draw(st.sampled_from(CODES)))


PATIENT = '{"resourceType":"Patient","id":"p","birthDate":"1960-02-03","gender":"female"}'


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(observations(), min_size=1, max_size=6))
def test_what_is_left_out_changes_no_value_and_no_reason(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "all.ndjson").write_text("\n".join([PATIENT, *lines]))
    (grouped,) = charts_of(tmp_path, Wanted.of(ASKED.needs), GroupingTally())
    whole = ChartLines("p", [line.encode() for line in (PATIENT, *lines)])
    assert score_records(ASKED, [read_chart(grouped, AS_OF)]) == score_records(ASKED, [read_chart(whole, AS_OF)])


def test_a_result_that_nothing_asks_for_is_left_out_however_it_is_written() -> None:
    wanted = Wanted.of(ASKED.needs)
    for code, is_taken in (("2160-0", True), ("2498-4", False)):
        line = f'{{"resourceType":"Observation","code":{{"coding":[{{"system":"{LOINC}","code":"{code}"}}]}}}}'
        for written in (line, line.replace(":", ": "), _escaped(line, code), _type_last(line, code)):
            assert wanted.takes("Observation", written.encode()) is is_taken
            assert wanted.observations([written.encode()]) == ([written.encode()] if is_taken else [])


def test_every_result_is_taken_where_a_question_reads_results_without_a_known_code() -> None:
    line = b'{"resourceType":"Observation","code":{"text":"BRCA1"}}'
    assert Wanted.of(Needs.of(analytes=("genomics", "creatinine"))).takes("Observation", line)
    assert not Wanted.of(Needs.of(analytes=("creatinine",))).takes("Observation", line)


def test_an_id_that_is_none_is_of_no_patient(tmp_path: Path) -> None:
    condition = '{"resourceType":"Condition","id":"c","code":{"text":"x"},"subject":{"reference":"Patient/p\\n+\\t9"}}'
    (tmp_path / "all.ndjson").write_text(f"{PATIENT}\n{condition}\n")
    (chart,) = charts_of(tmp_path, Wanted.of(ASKED.needs), tally := GroupingTally())
    assert (chart.patient_id, len(chart.resources()), tally.without_patient) == ("p", 1, 1)


@pytest.mark.parametrize("damage", [lambda packed: packed[:-20], lambda packed: packed[4:]])
def test_a_packed_file_that_breaks_off_scores_nobody(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Half of the results would give another number, and nobody would see it."""
    lines = "\n".join([PATIENT, *(f'{{"resourceType":"Goal","id":"{number}"}}' for number in range(2000))])
    packed = gzip.compress(lines.encode())
    (tmp_path / "all.ndjson.gz").write_bytes(packed)
    assert len(list(charts_of(tmp_path, Wanted.of(ASKED.needs), GroupingTally()))) == 1
    (tmp_path / "all.ndjson.gz").write_bytes(damage(packed))
    with pytest.raises(PanelRefused, match=r"all\.ndjson\.gz cannot be unpacked to its end"):
        list(charts_of(tmp_path, Wanted.of(ASKED.needs), GroupingTally()))


@pytest.mark.parametrize("most", [2, 7])
def test_files_that_grow_too_long_are_dealt_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(partitioning, "PART_BYTES", 300)
    monkeypatch.setattr(partitioning, "_MOST_PARTS", most)
    monkeypatch.setattr(partitioning, "_HELD_BYTES", 100)
    given = [Block(b"p%d" % (number % 40), number < 40, b"line %d\n" % number) for number in range(400)]
    found: dict[bytes, list[Block]] = {}
    longest = 0
    with Partitions(tmp_path, 200) as dealt:  # far more comes than was said
        for block in given:
            dealt.put(block.patient, [block.lines], has_patient=block.has_patient)
        for part in dealt.parts():
            blocks = list(part)
            assert found.keys().isdisjoint(block.patient for block in blocks), "a patient lies in one file"
            longest = max(longest, len(blocks))
            for block in blocks:
                found.setdefault(block.patient, []).append(block)
    assert found == {
        patient: [block for block in given if block.patient == patient] for patient in {b.patient for b in given}
    }, "every line, in the order in which it came"
    assert longest < 400


def test_one_patient_who_is_longer_than_a_file_ends_the_dealing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitioning, "PART_BYTES", 10)
    with Partitions(tmp_path, 1000) as dealt:
        for number in range(100):
            dealt.put(b"p", [b"line %d\n" % number])
        blocks = [block for part in dealt.parts() for block in part]
    assert [block.lines for block in blocks] == [b"line %d\n" % number for number in range(100)]
