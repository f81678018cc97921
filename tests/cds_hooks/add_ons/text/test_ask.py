"""The search of a chart: which passages it quotes, and what it does not answer."""

import base64
from datetime import date
from typing import Any

import pytest

from cds_hooks.add_ons.text.ask import ChartAnswer, ask_chart
from cds_hooks.add_ons.text.chart import UnreadAttachment, read_attachment, read_chart
from cds_hooks.add_ons.text.summary import summarise
from tests.cds_hooks.add_ons.text.charts import CHART, Resource, allergy, family, note, result
from tests.each import for_rows

MORE = [
    *CHART,
    result("o3", "Creatinine", 162, "umol/L", "2026-10-02"),
    allergy("a2", "Paracetamol"),
    family("f2", "mother", "asthma"),
    note("d2", "Father had gout. Possible stroke.", day="2026-10-30"),
]


def _ask(question: str) -> ChartAnswer:
    return ask_chart(MORE, question, date(2026, 11, 20))


@for_rows(("question", "words", "cite"))
def test_an_answer_quotes_and_cites_an_entry(question: str, words: str, cite: str) -> None:
    answer = _ask(question)
    assert answer.status == "answered"
    assert words in answer.text
    assert cite in answer.cites


@for_rows("question")
def test_what_the_chart_does_not_say_and_advice_are_not_answered(question: str) -> None:
    answer = _ask(question)
    assert answer.status in ("abstained", "partial")


@for_rows(("question", "found", "missing"))
def test_what_a_question_names_and_the_chart_does_not_is_listed_beside_what_it_does(
    question: str, found: str, missing: str
) -> None:
    answer = _ask(question)
    assert answer.status == "partial"
    assert answer.passages[0].text.startswith(found)
    assert answer.text.endswith(f"Not found in the chart: {missing}.")


def test_nothing_is_answered_with_yes_or_no() -> None:
    for question in (
        "Is he on an ACE inhibitor?",
        "Is she allergic to penicillin?",
        "Is there a fever?",
        "Is there AF?",
    ):
        assert not _ask(question).text.lower().startswith(("yes", "no"))


def test_a_question_of_risk_is_referred_to_the_card() -> None:
    assert _ask("What is the risk of death?").status == "referred"


ON = date(2026, 11, 2)


def pdf(*pages: str) -> bytes:
    """A PDF that shows these lines, one a page, as PDF 1.4 writes them; its offsets are right."""
    count = len(pages)
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(count))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {count} >>"]
    font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    for number, line in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET"
        box = f"/Parent 2 0 R /MediaBox [0 0 612 792] /Resources {font}"
        objects.append(f"<< /Type /Page {box} /Contents {4 + 2 * number} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    written, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return written + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def attached(content: bytes, kind: str = "application/pdf") -> dict[str, Any]:
    return {"contentType": kind, "data": base64.b64encode(content).decode()}


def letter(content: bytes) -> Resource:
    return note("d1", "") | {"content": [{"attachment": attached(content)}]}


def test_a_letter_in_pdf_is_a_note_like_any_other() -> None:
    (read,) = read_chart([letter(pdf("Allergies: penicillin."))], ON).notes
    assert [(drug.drug, drug.status) for drug in read.reading.drugs] == [("penicillin", "allergy")]


@for_rows(
    ("content", "why"),
    [
        (b"no PDF at all", "broken"),
        (pdf("Fever")[:300], "broken"),
        (pdf(""), "no text"),
        (pdf(*["Fever"] * 51), "more than 50 pages"),
        (b"%PDF-1.4" + b" " * 5_000_000, "more than 5 MB"),
        (b"%PDF-1.4" + b" " * 4_999_992, "broken"),  # of 5 MB
        (pdf("a" * 200_001), "more than 200,000 characters"),
    ],
    ids=["other", "cut", "empty", "pages", "large", "not too large", "long"],
)
def test_a_pdf_that_cannot_be_read_is_named_with_the_reason(content: bytes, why: str) -> None:
    with pytest.raises(UnreadAttachment, match=why):
        read_attachment(attached(content))


def test_a_letter_that_cannot_be_read_is_named_in_the_summary() -> None:
    sentences = list(summarise([allergy("a1", "Latex"), letter(b"%PDF- broken")], ON).sentences)
    (unread,) = (sentence for sentence in sentences if sentence.text.startswith("Not read"))
    assert unread.text == "Not read: Clinic letter of 2026-11-01 (the PDF is broken or encrypted)."
    assert unread.cites == ("DocumentReference/d1",)
