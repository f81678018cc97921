"""What is read of notes, in notes of our own."""

import re
import time
from datetime import date

import pytest

from fhir.notes.drugs import Drug
from fhir.notes.findings import Finding
from fhir.notes.reading import NoteReading, read_note
from tests.each import for_rows

ON = date(2026, 9, 17)


def _read(note: str) -> NoteReading:
    return read_note(note, on=ON)


def _finding(note: str, concept: str) -> Finding:
    return next(finding for finding in _read(note).findings if finding.concept == concept)


def _drug(note: str, name: str) -> Drug:
    return next(drug for drug in _read(note).drugs if drug.drug == name)


@for_rows(("note", "concept", "labels"))
def test_each_finding_has_its_three_labels(note: str, concept: str, labels: list[str]) -> None:
    finding = _finding(note, concept)
    assert [finding.assertion, finding.temporality, finding.experiencer] == labels
    assert note[finding.start : finding.end] == finding.text


@pytest.mark.parametrize(
    ("heading", "status"),
    [
        ("STOP TAKING:", "stopped"),
        ("Discontinued medications:", "stopped"),
        ("MEDICATIONS STOPPED DURING ADMISSION", "stopped"),
        ("Past trials:", "stopped"),
        ("Medicines to hold:", "held"),
        ("HOLD until follow-up:", "held"),
        ("DISCHARGE MEDICATIONS:", "active"),
    ],
)
def test_what_a_list_of_drugs_is_of_stands_in_its_heading(heading: str, status: str) -> None:
    note = f"DISCHARGE MEDICATIONS:\n- Torsemide 40 mg daily\n{heading}\n- Diltiazem 120 mg daily\n- Ibuprofen 400 mg"
    assert [drug.status for drug in _read(note).drugs] == ["active", status, status]


@pytest.mark.parametrize("name", ["chest pain", "diabetes", "stroke", "breast cancer"])
def test_what_is_denied_feared_or_said_of_others_is_never_of_the_patient(name: str) -> None:
    templates = (
        "No {}. Denies {}. Absent {}. {} ruled out. Negative for {}. {}: none. Lacks {}. {} was excluded. No more {}.",
        "Mother has {}. FH: {}. Her neighbour has {}. The other driver had {}. If {} develops, return. Watch for {}.",
        "Side effects include {}. Screening for {}. Worried about {}. Low suspicion for {}. Rule out {}. {} unlikely.",
        "Thought to have {} but CT excluded this. Screen for {} in May. May have {} like her aunt. + cough, - {}.",
        "No evidence for {}. No concern for {}. Not tested for {}. No vaccine for {}. Never treated for {}.",
        "No antibiotics for {} as the film is clear. No aspirin for {} prevention. Return to the ED for {}.",
        "No CT for {} was done. The diagnosis of {} in the old chart is wrong. Diagnosis of {} was a mistake.",
        "Worked up for {} which was negative. {} was excluded, not confirmed later. Told he had {} but this is wrong.",
        "His brother, a heavy smoker, was recently diagnosed with {}. A previous diagnosis of {} has been revised.",
    )
    for sentence in " ".join(templates).format(*[name] * 50).split(". "):
        for finding in _read(f"{sentence[0].upper()}{sentence[1:]}.").findings:
            is_of_patient = (finding.assertion, finding.experiencer) == ("affirmed", "patient")
            assert not (is_of_patient and finding.text.lower() in name), sentence
    present = ("He has {}.", "Presents with {} since Monday.", "Known {}, on treatment.", "{} for 3 days.")
    untreated = (
        "Not on a statin for his {}. No antibiotics for {}. Not taking her pills for {}. No drugs for {}.",
        "No cause found for {}. Metformin was not started for {}. She was not referred for {}. No radiation for {}.",
        "Not on an ACE inhibitor d/t {}. Warfarin was not given due to her {}. Not anticoagulated due to {}.",
        "No source of her {} was found. Has {}, PE was considered but this was excluded.",
        "{} with an echo which was negative. {} which is negative for HER2. He was wrongly told that he has no {}.",
    )
    for sentence in (*present, *re.split(r"(?<=\.) ", " ".join(untreated))):
        assert _read(sentence.format(name)).findings[0].assertion == "affirmed", sentence
    for doubted in ("{} had a scan which was negative.", "Not convinced that she does not have {}."):
        assert _read(doubted.format(name)).findings[0].assertion == "possible", doubted
    for denied in ("No {} and had a scan which was negative.", "Not convinced of it, she does not have {}."):
        assert _read(denied.format(name)).findings[0].assertion == "negated", denied


@pytest.mark.parametrize(
    ("note", "taken"),
    [
        ("Ramipril on hold until the GP rechecks, atorvastatin 20 mg nocte.", ["atorvastatin"]),
        ("Tramadol withdrawn, gabapentin 300 mg tds instead.", ["gabapentin"]),
        ("She takes apixaban 5 mg bd and bisoprolol only.", ["apixaban", "bisoprolol"]),
        ("Psoriasis: adalimumab every two weeks.", ["adalimumab"]),
        ("Pain controlled with paracetamol.", ["paracetamol"]),
        (
            "Salbutamol as needed. Gliclazide dose halved to 40 mg. Warfarin, same dose.",
            ["albuterol", "gliclazide", "warfarin"],
        ),
        ("Pain had been controlled with morphine. Angioedema: ramipril 5 mg daily.", []),
        ("Aspirin discontinued, warfarin 5 mg too. Stop ramipril as before. Withhold enoxaparin as usual.", []),
        ("Not taking aspirin any longer, metformin 500 mg bd.", []),
        ("Aspirin stopped, clopidogrel 75 mg to follow on discharge. Mirtazapine 15 mg, says the psychiatrist.", []),
        ("Bisoprolol 5 mg daily, eplerenone 25 mg daily. These were never collected.", []),
        ("Amitriptyline 10 mg on, ramipril 5 mg od. Both were not changed.", ["amitriptyline", "ramipril"]),
        ("Allopurinol 100 mg od. Stopped in May. Stop aspirin 75 mg od. Ramipril 5 mg daily.", ["ramipril"]),
        (
            "A man who takes warfarin 5 mg daily for atrial fibrillation. Apixaban trial for atrial flutter.",
            ["warfarin"],
        ),
        (
            "Bisoprolol increased to 5 mg last week. Denies side effects of sertraline. Denies taking aspirin.",
            ["bisoprolol"],
        ),
        ("She is on rivaroxaban for AF. Rivaroxaban could be switched to apixaban.", ["rivaroxaban"]),
        ("Options for psoriasis: methotrexate 15 mg weekly, adalimumab every two weeks.", []),
    ],
)
def test_a_drug_counts_as_taken_only_where_the_note_says_so(note: str, taken: list[str]) -> None:
    assert [drug.drug for drug in _read(note).drugs if drug.status == "active"] == taken


@for_rows(("note", "name", "status", "dose"))
def test_each_drug_has_its_status_and_dose(note: str, name: str, status: str, dose: str) -> None:
    drug = _drug(note, name)
    assert (drug.status, drug.dose) == (status, dose)


def test_no_known_allergies_deny_and_the_heading_of_allergies_says_nothing() -> None:
    (finding,) = _read("Allergies: NKDA").findings
    assert (finding.text, finding.assertion) == ("NKDA", "negated")
    reading = _read("Allergies: penicillin, sulfa")
    assert (reading.findings, [(drug.drug, drug.status) for drug in reading.drugs]) == (
        (),
        [("penicillin", "allergy"), ("sulfa", "allergy")],
    )


@for_rows(
    ("note", "days"),
    [
        ("Bloods 2026-09-10: K 4.9", ["2026-09-10"]),
        ("Bloods 9/13/26: K 4.9", ["2026-09-13"]),  # there is no thirteenth month
        ("Bloods 20/12: K 4.9", ["2025-12-20"]),
        ("Bloods (3/7): K 4.9", ["2026-07-03"]),
        ("Bloods 31/2: K 4.9", ["2026-09-17"]),
        ("Bloods 3/7: K 4.9", ["2026-09-17"]),  # three days
        ("Bloods 3/52: K 4.9", ["2026-09-17"]),  # three weeks
        ("Dec 1: K 4.9", ["2025-12-01"]),
        ("May 2026 K 4.9", ["2026-05-01"]),
        ("K 4.9, Na 140 3/9/26", ["2026-09-03", "2026-09-03"]),
        ("K 4.9. 3/9/26", ["2026-09-17"]),
        ("Bloods 10.9.26: K 4.9", ["2026-09-10"]),
        ("Bloods 3/7/26: K 4.9", ["2026-07-03"]),
        ("Bloods 20/12/26: K 4.9", ["2026-12-20"]),
        ("Bloods 3/7): K 4.9", ["2026-09-17"]),
        ("Apr K 4.9", ["2026-04-01"]),
        ("Bloods 9/13: K 4.9", ["2026-09-17"]),  # without a year that is no day
        ("Bloods 10/9/1999: K 4.9", ["1999-09-10"]),
        ("3rd May: K 4.9", ["2026-05-03"]),
        ("Bloods (3/7: K 4.9", ["2026-09-17"]),
        ("Bloods 12/7: K 4.9", ["2026-09-17"]),  # twelve days
        ("Bloods 13/7: K 4.9", ["2026-07-13"]),
        ("Bloods 17/9: K 4.9", ["2026-09-17"]),
        ("BP 142/78          10/9/26", ["2026-09-10"]),
        ("BP 142/78           10/9/26", ["2026-09-17"]),
        ("BP 142/78 then 130/70. K 4.9 (5.1).", ["2026-09-17"] * 4),
        ("Clinic 10/9/26: well. K 4.9", ["2026-09-17"]),
        ("Seen 10/9/26 in clinic K 4.9", ["2026-09-17"]),
        (f"{' ' * 59}10/9/26 seen. K 4.9", ["2026-09-10"]),
        (f"{' ' * 60}10/9/26 seen. K 4.9", ["2026-09-17"]),
        (f"K 4.9 {'x' * 58} 10/9/26", ["2026-09-10"]),
        (f"K 4.9 {'x' * 59} 10/9/26", ["2026-09-17"]),
        ("K 4.9, this was taken on 10/9/26", ["2026-09-17"]),
        ("10/9/26 seen in clinic. K 4.9", ["2026-09-10"]),
        ("Bloods 10/9/26: K 4.9\nNa 140", ["2026-09-10", "2026-09-17"]),
        (f"10/9/26:{' x' * 1999} K 4.9", ["2026-09-10"]),
        (f"10/9/26:{' x' * 2000} K 4.9", ["2026-09-17"]),  # so far a line is not looked through
    ],
)
def test_a_result_is_of_the_day_that_is_meant(note: str, days: list[str]) -> None:
    assert [result.date.isoformat() for result in _read(note).results] == days


@for_rows(("name", "read", "unread"))
def test_a_number_that_cannot_be_of_the_test_is_no_result(name: str, read: list[str], unread: list[str]) -> None:
    assert [result.value for value in read for result in _read(f"{name} {value}").results] == read
    assert [result for value in unread for result in _read(f"{name} {value}").results] == []


@for_rows("note")
def test_what_somebody_lacks_or_drinks_is_no_drug(note: str) -> None:
    assert [drug.text for drug in _read(note).drugs] == []


def test_signs_that_nobody_sees_change_no_name() -> None:
    note = "pot\u200bassium 5.7, \u202eno fever\u202c"
    assert all(note[finding.start : finding.end] == finding.text for finding in _read(note).findings)


@pytest.mark.slow
@pytest.mark.parametrize("piece", [" ", "pain ", "12/3/26 K 5.7, "])
def test_a_long_note_of_one_line_is_read_in_seconds(piece: str) -> None:
    begun = time.thread_time()
    _read(piece * (200_000 // len(piece)))
    assert time.thread_time() - begun < 20  # a reading of quadratic time takes minutes


@for_rows("note")
def test_words_that_hold_a_name_and_mean_none_are_no_findings(note: str) -> None:
    assert [finding.text for finding in _read(note).findings] == []
