"""What is read of notes, in notes of our own."""

import time
from datetime import date

import pytest

from fhir.notes.drugs import Drug
from fhir.notes.findings import Finding
from fhir.notes.reading import NoteReading, read_note
from tests.each import for_rows, rows_of

ON = date(2026, 9, 17)


def _read(note: str) -> NoteReading:
    return read_note(note, on=ON)


def _finding(note: str, concept: str) -> Finding:
    return next(finding for finding in _read(note).findings if finding.concept == concept)


def _drug(note: str, name: str) -> Drug:
    return next(drug for drug in _read(note).drugs if drug.drug == name)


@for_rows(
    ("note", "concept", "labels"),
    [
        ("C/o wheeze and ankle swelling.", "wheeze", ("affirmed", "current", "patient")),
        ("Nil wheeze, nil stridor.", "stridor", ("negated", "current", "patient")),
        ("No depression. Migraine controlled.", "migraine", ("affirmed", "current", "patient")),
        ("PE unlikely.", "pulmonary embolism", ("negated", "current", "patient")),
        ("?PE. For CTPA.", "pulmonary embolism", ("possible", "current", "patient")),
        ("Hiatus hernia, not ?cancer", "hiatus hernia", ("affirmed", "current", "patient")),
        ("Return if haemoptysis or fever.", "fever", ("hypothetical", "hypothetical", "patient")),
        ("Safety net: haemoptysis, fever", "haemoptysis", ("hypothetical", "hypothetical", "patient")),
        ("Stroke 2017, now back to normal.", "stroke", ("affirmed", "historical", "patient")),
        ("s/p appendicectomy for appendicitis", "appendicectomy", ("affirmed", "historical", "patient")),
        ("FH: bowel cancer, gout\nPMH: asthma", "gout", ("affirmed", "historical", "family")),
        ("FH: bowel cancer\nPMH: asthma", "asthma", ("affirmed", "current", "patient")),
        ("Her husband has shingles.", "shingles", ("affirmed", "current", "other")),
        ("Wife reports he is confused.", "delirium", ("affirmed", "current", "patient")),
        ("[x] Urinary catheter   [ ] MRSA", "MRSA carriage", ("negated", "current", "patient")),
        ("# NOF R on XR.", "hip fracture", ("affirmed", "current", "patient")),
        ("Ex-smoker.", "smoking", ("affirmed", "historical", "patient")),
        ("Thiazide discontinued (pancreatitis).", "pancreatitis", ("affirmed", "current", "patient")),
        ("Not only gout but also asthma.", "gout", ("affirmed", "current", "patient")),
        ("A three-week history of wheeze.", "wheeze", ("affirmed", "current", "patient")),
        ("5/7 hx of dry cough, no fever", "cough", ("affirmed", "current", "patient")),
        ("History of wheeze.", "wheeze", ("affirmed", "historical", "patient")),
        ("Cellulitis, resolved with flucloxacillin, now recurrent.", "cellulitis", ("affirmed", "current", "patient")),
        ("Known lactose intolerance.", "lactose intolerance", ("affirmed", "current", "patient")),
        ("Abdomen soft, non-tender.", "tenderness", ("negated", "current", "patient")),
        ("First seizure, MRI normal.", "seizure", ("affirmed", "current", "patient")),
        ("Troponin flat, not felt to represent ACS.", "acute coronary syndrome", ("negated", "current", "patient")),
        ("Does not look like meningitis.", "meningitis", ("negated", "current", "patient")),
        ("PE was considered but V/Q low probability.", "pulmonary embolism", ("possible", "current", "patient")),
        ("Asks whether she has diabetes.", "diabetes", ("possible", "current", "patient")),
        ("Sent for DVT scan.", "deep vein thrombosis", ("hypothetical", "hypothetical", "patient")),
        ("Brought by mum with 2/7 hx of cough.", "cough", ("affirmed", "current", "patient")),
        ("Son rang. Dad more breathless.", "dyspnoea", ("affirmed", "current", "patient")),
        ("Son rang. Dad's brother had gout.", "gout", ("affirmed", "historical", "family")),
        ("Neutropenic sepsis last admission.", "sepsis", ("affirmed", "historical", "patient")),
        ("CT: 5 mm UVJ stone.", "kidney stone", ("affirmed", "current", "patient")),
        ("L CVA tenderness.", "renal angle tenderness", ("affirmed", "current", "patient")),
        ("Listed for lap chole.", "cholecystectomy", ("affirmed", "current", "patient")),
        ("Previous child with Down syndrome.", "Down syndrome", ("affirmed", "current", "other")),
        ("Nasal polyps.", "nasal polyp", ("affirmed", "current", "patient")),
        ("No fever\ngout", "gout", ("affirmed", "current", "patient")),
        (
            "There was in the weeks of this very long stay in the hospital no\ngout.",
            "gout",
            ("negated", "current", "patient"),
        ),
        ("no ascites, known cirrhosis", "cirrhosis", ("affirmed", "current", "patient")),
        ("ROS: neg fever, neg cough.", "fever", ("negated", "current", "patient")),
        ("Failed sertraline (no effect) and venlafaxine (rash).", "rash", ("affirmed", "current", "patient")),
        ("Indication: r/o PE, hx breast cancer.", "breast cancer", ("affirmed", "historical", "patient")),
        ("Liver cyst, stable.", "liver cyst", ("affirmed", "current", "patient")),
        ("HIV clinic: undetectable, RPR neg.", "HIV infection", ("hypothetical", "hypothetical", "patient")),
        ("HCV treated/cured 2019.", "hepatitis C", ("affirmed", "historical", "patient")),
        ("Latent TB treated w/ isoniazid 2016.", "latent tuberculosis", ("affirmed", "historical", "patient")),
        ("DVT of R leg 2019, provoked.", "deep vein thrombosis", ("affirmed", "historical", "patient")),
        ("Breast cancer s/p lumpectomy 2011, NED.", "breast cancer", ("affirmed", "historical", "patient")),
        ("58M for lap chole.", "cholecystectomy", ("affirmed", "current", "patient")),
        ("Seizure-like event in clinic.", "seizure", ("possible", "current", "patient")),
        ("Pain free since.", "pain", ("negated", "current", "patient")),
        ("Needlestick from HIV+ pt.", "HIV infection", ("affirmed", "current", "other")),
        ("Parkinson's disease previously queried.", "Parkinson disease", ("possible", "current", "patient")),
        ("HCC surveillance scan due.", "liver cancer", ("hypothetical", "hypothetical", "patient")),
        (
            "Husband had shingles, do I need the shot? I have chest pain.",
            "chest pain",
            ("affirmed", "current", "patient"),
        ),
        ("No indication for dialysis.", "dialysis", ("negated", "current", "patient")),
        ("HIT felt unlikely.", "thrombocytopenia", ("negated", "current", "patient")),
        ("No beta blocker as she had asthma as a child.", "asthma", ("affirmed", "historical", "patient")),
        ("No chest pain or wheeze.", "wheeze", ("negated", "current", "patient")),
        ("Not due to asthma.", "asthma", ("negated", "current", "patient")),
        (
            "Hep C Ab positive, RNA negative (spontaneously cleared).",
            "hepatitis C",
            ("affirmed", "historical", "patient"),
        ),
        ("Prev PE Jan 2026.", "pulmonary embolism", ("affirmed", "historical", "patient")),
        ("AVC en 2018.", "stroke", ("affirmed", "historical", "patient")),
        ("Melanoma excised 2017.", "melanoma", ("affirmed", "historical", "patient")),
        ("Precautions: fall risk. H/o seizures.", "seizure", ("affirmed", "historical", "patient")),
        ("CT planned ?pulmonary embolism", "pulmonary embolism", ("possible", "current", "patient")),
        ("Smoker - varenicline declined.", "smoking", ("affirmed", "current", "patient")),
        ("Asthme dans l'enfance.", "asthma", ("affirmed", "historical", "patient")),
        ("Man in bed 3 has influenza.", "influenza", ("affirmed", "current", "other")),
        ("FH: bowel cancer.", "colorectal cancer", ("affirmed", "historical", "family")),
        ("FAMILY HISTORY:\nbowel cancer\ngout", "gout", ("affirmed", "historical", "family")),
        ("No seizure before that.", "seizure", ("affirmed", "historical", "patient")),
        ("No fracture seen but cannot be excluded.", "fracture", ("possible", "current", "patient")),
        ("Started sepsis bundle.", "sepsis", ("possible", "current", "patient")),
        ("Any fever - call 999.", "fever", ("hypothetical", "hypothetical", "patient")),
        ("Indication: ?PE", "pulmonary embolism", ("possible", "current", "patient")),
        ("Stroke in March.", "stroke", ("affirmed", "historical", "patient")),
        ("2015 stroke.", "stroke", ("affirmed", "historical", "patient")),
        ("2026 stroke.", "stroke", ("affirmed", "current", "patient")),
        ("Operations: hernia", "hernia", ("affirmed", "historical", "patient")),
        ("Asbestos exposure.", "asbestos exposure", ("affirmed", "current", "patient")),
        ("No asbestos exposure.", "asbestos exposure", ("negated", "current", "patient")),
        ("FH: possible bowel cancer.", "colorectal cancer", ("possible", "current", "family")),
        ("No sedative because she has no falls risk.", "falls", ("negated", "current", "patient")),
        ("Ramipril (no cough) rash", "rash", ("affirmed", "current", "patient")),
        ("Son rang. FH: dad gout", "gout", ("affirmed", "historical", "family")),
        ("Husband's mother had gout.", "gout", ("affirmed", "historical", "family")),
        ("Partner here, pt is breathless.", "dyspnoea", ("affirmed", "current", "patient")),
        ("Not just wheeze but cough.", "wheeze", ("affirmed", "current", "patient")),
        ("No HIV clinic visit.", "HIV infection", ("negated", "current", "patient")),
        ("No seizure, MRI normal.", "seizure", ("negated", "current", "patient")),
        ("Advice: no fever.", "fever", ("negated", "current", "patient")),
        ("Any wheeze, seek help.", "wheeze", ("hypothetical", "hypothetical", "patient")),
        ("Any wheeze noted yesterday.", "wheeze", ("affirmed", "current", "patient")),
        ("PE in error.", "pulmonary embolism", ("negated", "current", "patient")),
        ("He quit smoking.", "smoking", ("affirmed", "historical", "patient")),
        ("Post stroke.", "stroke", ("affirmed", "current", "patient")),
        ("Wheeze in March.", "wheeze", ("affirmed", "current", "patient")),
        ("2015 asthma.", "asthma", ("affirmed", "current", "patient")),
        ("Wheeze prior to that.", "wheeze", ("affirmed", "historical", "patient")),
        ("Stroke 2026.", "stroke", ("affirmed", "current", "patient")),
        ("Possible seizure, MRI normal.", "seizure", ("possible", "current", "patient")),
        ("No PE - heparin declined.", "pulmonary embolism", ("negated", "current", "patient")),
        ("No ?PE", "pulmonary embolism", ("negated", "current", "patient")),
        ("Return (no ED) if haemoptysis.", "haemoptysis", ("hypothetical", "hypothetical", "patient")),
        ("Return if nil fever.", "fever", ("hypothetical", "hypothetical", "patient")),
        ("Return if seizure-like activity.", "seizure", ("hypothetical", "hypothetical", "patient")),
        ("Watch for wheeze or ?PE", "pulmonary embolism", ("hypothetical", "hypothetical", "patient")),
        ("FH: husband had gout.", "gout", ("affirmed", "current", "other")),
        ("Partner reports wheeze.", "wheeze", ("affirmed", "current", "patient")),
        ("Had ca breast 2019.", "breast cancer", ("affirmed", "historical", "patient")),
        ("Allergies - rash", "drug allergy", ("affirmed", "current", "patient")),
        ("Lacks wheeze, fever, or rash.", "rash", ("negated", "current", "patient")),
        ("Fever, cough and rash are absent.", "fever", ("negated", "current", "patient")),
        ("Neither he nor his doctor noticed confusion or tremor.", "tremor", ("negated", "current", "patient")),
        ("History is negative for gout and asthma.", "asthma", ("negated", "current", "patient")),
        ("Perhaps she has gout.", "gout", ("possible", "current", "patient")),
        ("Asthma remains a possibility.", "asthma", ("possible", "current", "patient")),
        ("Favor gout / chronic cellulitis.", "cellulitis", ("possible", "current", "patient")),
        ("Not clear whether this is asthma.", "asthma", ("possible", "current", "patient")),
        ("No cough, fever present.", "fever", ("affirmed", "current", "patient")),
        ("Constipation, nausea and rash: all denied.", "constipation", ("negated", "current", "patient")),
    ],
)
def test_each_finding_has_its_three_labels(note: str, concept: str, labels: tuple[str, str, str]) -> None:
    finding = _finding(note, concept)
    assert (finding.assertion, finding.temporality, finding.experiencer) == labels
    assert note[finding.start : finding.end] == finding.text


@for_rows(
    ("note", "name", "status", "dose"),
    rows_of(__file__, "each_drug_has_its_status_and_dose"),
)
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


@for_rows(
    ("name", "read", "unread"),
    [
        ("Temp", ["30", "43", "90", "110"], ["29.9", "43.1", "89.9", "110.1"]),
        ("BP", ["50", "142", "142/78"], ["49"]),
        ("Pain score", [], ["4", "4/10"]),
        ("Lithium level", ["0.6"], ["400 mg"]),
        ("HR", ["72"], ["72/80"]),
        ("CRP up", ["34"], []),
        ("CK", ["300"], []),
        ("Ck", [], ["300"]),
        ("Weight", ["82"], []),
    ],
)
def test_a_number_that_cannot_be_of_the_test_is_no_result(name: str, read: list[str], unread: list[str]) -> None:
    assert [result.value for value in read for result in _read(f"{name} {value}").results] == read
    assert [result for value in unread for result in _read(f"{name} {value}").results] == []


@for_rows(
    "note",
    [
        "Iron def anemia resolved.",
        "Fe def anaemia.",
        "Vitamin D deficiency.",
        "Bicarb 18 - improving.",
        "Iron 6, B12 normal.",
        "Drinks caffeine.",
    ],
)
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


@for_rows(
    "note",
    [
        "Gave advice about diet.", "Medically fit for discharge. Keeps fit by walking.", "PE: lungs clear.",
        "On PE, abdomen soft.", "Oncology: letrozole continued.", "Gastro: soft abdomen.", "V/Q low.",
        "Body mass index 31.", "Trip to Spain.", "Cut down on biscuits.", "Smoke alarm fitted.", "HI advice given.",
        "On rivaroxaban 10 mg.", "Shock delivered x1.", "Voice mail left.", "Seen 6 hrs ago.", "Hep B immune.",
        "EKG unchanged, METS >4.", "CP-A, on SSI.", "Works at 7 METs.", "Arrêt du tabac conseillé: du temps.",
    ],
)  # fmt: skip
def test_words_that_hold_a_name_and_mean_none_are_no_findings(note: str) -> None:
    assert [finding.text for finding in _read(note).findings] == []
