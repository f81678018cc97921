"""Summaries with a language model: what it says right is shown, and whatever else it does, nothing is lost or added."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.add_ons.text.chart import read_chart
from cds_hooks.add_ons.text.endpoint import Caller, Endpoint, EndpointRefused, endpoint_named, read_text_file
from cds_hooks.add_ons.text.prompts import read_prompt
from cds_hooks.add_ons.text.rephrasing import check_sentence, entries_of, provenance, rephrase
from cds_hooks.add_ons.text.summary import Summary, summarise
from tests.cds_hooks.add_ons.text.charts import CHART, condition, note, result
from tests.cds_hooks.add_ons.text.stub import MODEL, Stub, playing
from tests.each import each_row, for_rows

ON = date(2026, 11, 2)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"family": "Quillfeather", "given": ["Maud", "A", "II"]}],
    "identifier": [{"system": "urn:mrn", "value": "MRN-7781"}],
}
FULL = [PATIENT, *CHART, condition("c3", "Gout"), result("o3", "Creatinine", 162, "umol/L", "2026-10-02")]
GOOD = [
    {"text": "The patient has atrial fibrillation and gout.", "cites": ["Condition/c1", "Condition/c3"]},
    {
        "text": "Potassium rose from 4.2 mmol/L on 2026-04-01 to 5.1 mmol/L on 2026-10-01.",
        "cites": ["Observation/o2", "Observation/o1"],
    },
]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with playing() as playing_stub:
        yield playing_stub


def _summary(stub: Stub, resources: list[dict[str, Any]] = FULL, **bounds: Any) -> Summary:
    endpoint = Endpoint(address=stub.address, model=MODEL, **bounds)
    return rephrase(resources, read_chart(resources, ON), ("ward", endpoint), read_prompt("summary"), Caller())


def test_what_the_model_leaves_out_is_said_by_the_chart(stub: Stub) -> None:
    stub.sentences = [{"text": "The patient has gout.", "cites": ["Condition/c3"]}]
    summary = _summary(stub)
    assert [s.text for s in summary.sentences] == [s.text for s in summarise(FULL, ON).sentences]


def test_an_allergy_is_never_in_the_words_of_the_model(stub: Stub) -> None:
    sentence = {"text": "Allergy to penicillin with rash.", "cites": ["AllergyIntolerance/a1"]}
    stub.sentences = [*GOOD, sentence]
    texts = [sentence.text for sentence in _summary(stub).sentences]
    assert "Allergies: Penicillin (rash)." in texts
    assert sentence["text"] not in texts


def test_only_minimised_entries_leave(stub: Stub) -> None:
    stub.sentences = GOOD
    _summary(stub, [*FULL, condition("c9", "Quillfeather syndrome"), condition("c8", "Type A dissection"),
                    condition("c10", "Type II failure")])  # fmt: skip
    sent = str(stub.sent)
    assert "Type A dissection" in sent  # an initial is no name
    assert "Type II failure" in sent
    assert not any(word in sent for word in ("Quillfeather", "Maud", "MRN-7781", "Condition/", "p1"))
    assert not any(word in sent for word in ("Apixaban", "Penicillin", "wheeze"))  # drugs, allergies and notes stay
    assert {entry["kind"] for entry in stub.entries()} == {"problem", "past", "result", "family"}
    assert sent.count("Creatinine") == 1
    assert stub.sent[0]["response_format"]["json_schema"]["schema"] == read_prompt("summary").schema
    assert (stub.paths, stub.sent[0]["max_tokens"]) == (["/v1/chat/completions"], 1500)


def test_unsupported_sentences_are_deleted_and_counted(stub: Stub) -> None:
    stub.sentences = [
        *GOOD,
        {"text": "The patient has pneumonia.", "cites": ["Condition/c2"]},
        {"text": "Haemoglobin 61 g/L.", "cites": ["Observation/o999"]},
    ]
    summary = _summary(stub, least_share=0.5)
    assert summary.writing is not None
    assert (summary.writing.confirmed, sum(summary.writing.deleted.values())) == (2, 2)
    assert any(sentence.tag for sentence in summary.sentences), "half of them are as many as there must be"
    assert not any(word in str(summary.sentences) for word in ("has pneumonia", "61", "o999"))


@pytest.mark.parametrize(
    "played",
    [
        {"raw": b"<html>login</html>"},
        {"raw": b"{" * 5000},
        {"raw": b'{"model": "played-1", "choices": []}'},
        {"raw": b"[1]"},
        {"raw": b"x" * 300_000},
        {"content": "I cannot help with that."},
        {"content": '{"sentences": [{"text": 7}]}'},
        {"content": '{"sentences": ['},
        {"content": '{"sentences": []}'},
        {"content": "}{"},
        {"status": 500},
        {"status": 307, "headers": {"location": "http://collect.example.net/v1/chat/completions"}},
        {"model": "another-model"},
        {"headers": {"content-encoding": "gzip"}},
        {"delay": 1.0},
    ],
    ids=str,
)
def test_an_endpoint_that_fails_costs_one_sentence(stub: Stub, played: dict[str, Any]) -> None:
    stub.sentences = GOOD
    for name, value in played.items():
        setattr(stub, name, value)
    summary = _summary(stub, seconds=0.5)
    assert summary.notice.endswith("This is the chart's own text.")
    assert [s.text for s in summary.sentences] == [s.text for s in summarise(FULL, ON).sentences]
    assert not any(word in summary.notice for word in ("html", "collect", "Quillfeather"))


def test_the_key_of_an_endpoint_is_read_from_its_file_for_each_call(stub: Stub, tmp_path: Path) -> None:
    stub.sentences = GOOD
    (tmp_path / "key").write_text("one-key\n")
    assert _summary(stub, key_file=str(tmp_path / "key")).notice == ""
    assert stub.tokens == ["Bearer one-key"]
    assert "cannot be read" in _summary(stub, key_file=str(tmp_path / "none")).notice


def test_what_a_model_wrote_has_the_tag_and_a_provenance(stub: Stub) -> None:
    stub.sentences = GOOD
    summary = _summary(stub)
    resource = provenance(summary, datetime(2026, 11, 2, tzinfo=UTC))
    assert resource is not None
    assert {sentence.tag for sentence in summary.sentences} == {"", "AIAST"}
    assert resource["meta"]["security"][0]["code"] == "AIAST"
    assert [target["display"] for target in resource["target"]] == [good["text"] for good in GOOD]
    assert {entity["what"]["reference"] for entity in resource["entity"]} == {
        "Condition/c1", "Condition/c3", "Observation/o1", "Observation/o2",
    }  # fmt: skip
    assert provenance(summarise(FULL, ON), datetime(2026, 11, 2, tzinfo=UTC)) is None
    stub.sentences = [{"text": "Reduce apixaban.", "cites": ["MedicationRequest/m1"]}]
    assert provenance(_summary(stub), datetime(2026, 11, 2, tzinfo=UTC)) is None


@each_row(("content", "said"))
def test_a_file_of_endpoints_that_makes_no_sense_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "text.toml"
    path.write_text(content)
    with pytest.raises(EndpointRefused, match=said):
        read_text_file(path)


def test_no_endpoint_is_allowed_but_those_of_the_site(tmp_path: Path) -> None:
    assert read_text_file(None).endpoints == {}
    path = tmp_path / "text.toml"
    with pytest.raises(EndpointRefused, match="names none"):
        endpoint_named(read_text_file(None), "ward")
    for where in (
        "address = 'https://model.example.org/v1'",
        "address = 'http://model.example.org/v1', networks = ['10.1.0.0/16']",
        "address = 'http://127.0.0.1:1/v1'",
    ):
        path.write_text(f"endpoints.ward = {{{where}, model = 'm'}}")
        assert endpoint_named(read_text_file(path), "ward").model == "m"
    for name in ("other", "http://127.0.0.1:1/v1"):
        with pytest.raises(EndpointRefused, match="names ward"):
            endpoint_named(read_text_file(path), name)


_MORE = [
    result("o3", "Creatinine", 162, "umol/L", "2026-10-02"),
    condition("c3", "Left hip fracture", onsetDateTime="2019"),
    condition("c4", "Right knee pain"),
    condition("c6", "Open fracture of right foot"),
    condition("c7", "Chronic kidney disease stage 3"),
    result("o4", "Troponin", 5, "ng/L", "2026-10-01", comparator="<"),
    result("o5", "25 hydroxyvitamin D", 40, "nmol/L", "2026-10-01"),
    result("o6", "Sodium", 135, "mmol/L", "2026-10-01"),
    result("o7", "Sodium", 140, "mmol/L", "2026-10-01"),
    result("o8", "Glucose", 5.5, "mmol/L", "2026-04-01"),
    result("o9", "Glucose", 99, "mg/dL", "2026-10-01"),
    result("o10", "Urate", 400, "umol/L", ""),
    result("o11", "Urate", 410, "umol/L", "2026-10-01"),
    result("o12", "Protein", "trace", "", "2026-04-01"),
    result("o13", "Protein", "positive", "", "2026-10-01"),
    result("o14", "Creatinine", 180, "umol/L", "2026-04-01"),
    note("d2", "Mother had stroke. Return if chest pain.", day="2026-10-30"),
    condition("c5", "Type 2 diabetes mellitus"),
    {"resourceType": "ServiceRequest", "id": "s1", "status": "active", "code": {"text": "Chest X-ray"}},
]
ENTRIES = entries_of(read_chart([*CHART, *_MORE], date(2026, 11, 2)))
_IDS = {
    "o": "Observation", "c": "Condition", "m": "MedicationRequest", "a": "AllergyIntolerance",
    "f": "FamilyMemberHistory", "d": "DocumentReference", "s": "ServiceRequest",
}  # fmt: skip


def _fault(text: str, cites: str) -> str:
    return check_sentence(text, [f"{_IDS[cite[0]]}/{cite}" for cite in cites.split()], ENTRIES).fault


@for_rows(("text", "cites"))
def test_a_sentence_with_one_thing_changed_is_not(text: str, cites: str) -> None:
    assert _fault(text, cites)
