"""The figures of predictions: which sentence, answer, page or label counts for what."""

from typing import Any

from cds_hooks.text.scoring import score_notes, score_pages, score_questions, score_summaries
from tests.each import for_rows

SAID = {"text": "Apixaban is listed; the letter says stopped.", "cites": ["M/1", "D/1"]}


def _parts(figures: Any) -> list[int]:
    return [share.part for share in figures.shares.values()]


@for_rows(
    ("sentences", "facts", "named", "too_long"),
    [
        ([SAID], 1, 1, 0),
        ([SAID, SAID], 1, 1, 0),  # as many as there may be
        ([SAID, SAID, SAID], 1, 1, 1),
        ([SAID | {"cites": ["M/1"]}], 1, 0, 0),  # one of both sources
        ([SAID | {"cites": ["M/1", "D/1", "O/1"]}], 1, 1, 0),
        ([SAID | {"text": "Apixaban."}], 1, 0, 0),  # both sources, and no word of the contradiction
        ([SAID | {"cites": ["D/1"]}], 0, 0, 0),  # the fact without its source
        ([SAID | {"text": "Nothing."}], 0, 0, 0),
    ],
)
def test_a_fact_and_a_contradiction_are_said_with_words_and_sources(
    sentences: list[dict[str, Any]], facts: int, named: int, too_long: int
) -> None:
    fact = {"id": "f1", "all": ["apixaban"], "sources": ["M/1"]}
    rule = {"id": "x1", "patterns": ["listed", "stopped"], "sources": ["M/1", "D/1"]}
    gold = {"chart": "c1", "must": [fact], "must_not": [], "contradictions": [rule], "max_sentences": 2}
    figures = score_summaries([gold], [{"chart": "c1", "sentences": sentences}])
    assert _parts(figures) == [facts, 0, named, 0, too_long]


@for_rows(
    ("answer", "cites", "abstain", "right", "wrong"),
    [
        ("5.1 mmol/L", ["O/1"], False, 1, 0),
        ("5.1 mmol/L", ["O/2"], False, 0, 0),  # right without its source
        ("4.2 mmol/L", ["O/1"], False, 0, 1),  # the source without what it says
        ("5.1 mmol/L, which is fatal", ["O/1"], False, 0, 1),
        ("5.1 mmol/L", ["O/1"], True, 0, 0),  # who abstains is neither right nor wrong, whatever stands beside it
    ],
)
def test_an_answer_is_right_with_its_words_and_its_source(
    answer: str, cites: list[str], abstain: bool, right: int, wrong: int
) -> None:
    gold = {"id": "q1", "answerable": True, "all": ["5.1"], "sources": ["O/1"], "must_not": ["fatal"]}
    figures = score_questions([gold], [{"id": "q1", "abstain": abstain, "answer": answer, "cites": cites}])
    assert _parts(figures) == [right, wrong, 0]


def test_a_right_page_is_among_the_first_three_of_an_answer() -> None:
    gold = {"id": "d1", "question": "?", "answerable": True, "pages": ["a", "b"]}
    for pages, abstain, right in ((["x", "y", "a"], False, 1), (["x", "y", "z", "a"], False, 0), (["a"], True, 0)):
        assert _parts(score_pages([gold], [{"id": "d1", "abstain": abstain, "pages": pages}])) == [right, 0]


LABELS = {"assertion": "affirmed", "temporality": "current", "experiencer": "patient", "text": "", "start": 0, "end": 6}


@for_rows(
    ("gold", "read", "found", "right", "wrongly"),
    [
        ({}, {}, 1, 1, 0),
        ({}, {"start": 6, "end": 12}, 0, 0, 0),  # beside it, no letter of both
        ({}, {"start": 5, "end": 12}, 1, 1, 0),
        ({}, {"temporality": "historical"}, 1, 0, 0),
        ({"also_temporality": ["historical"]}, {"temporality": "historical"}, 1, 1, 0),
        ({}, {"experiencer": "family"}, 1, 0, 0),
        ({"experiencer": "family"}, {}, 1, 0, 1),
        ({"assertion": "negated"}, {}, 1, 0, 1),
        ({"assertion": "possible", "also": ["affirmed"]}, {}, 1, 1, 0),
        ({"assertion": "negated"}, {"assertion": "negated"}, 1, 1, 0),
    ],
)
def test_a_finding_has_three_labels(gold: Any, read: Any, found: int, right: int, wrongly: int) -> None:
    figures = score_notes([{"id": "n1", "findings": [LABELS | gold]}], [{"id": "n1", "findings": [LABELS | read]}])
    assert _parts(figures)[:3] == [found, right, wrongly]


def test_a_unit_is_invented_where_there_is_none_and_it_is_not_called_assumed() -> None:
    at = {"start": 0, "end": 5, "text": "K 5.1", "value": "5.1"}
    assumed: dict[str, Any] = {"unit": "mmol/L", "unit_assumed": True}
    for gold, read, invented in (("mmol/L", {"unit": "mg/dL"}, 0), ("", {"unit": ""}, 0), ("", {"unit": "mmol/L"}, 1),
                                 ("", assumed, 0)):  # fmt: skip
        figures = score_notes([{"id": "n", "results": [at | {"unit": gold}]}], [{"id": "n", "results": [at | read]}])
        assert figures.shares["units invented"].part == invented
