"""Questions over the product's own pages."""

import pytest

from cds_hooks.text.pages import Pages, ask_pages, pages_folder


def _ask(question: str) -> Pages:
    folder = pages_folder()
    assert folder is not None
    return ask_pages(question, folder)


@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("How is a decision replayed?", "docs/operations/replay.md"),
        ("Which gates must a model pass?", "docs/models/gates.md"),
        ("how do I add a rule", "docs/adding/rule.md"),
        ("How are genetic results read?", "docs/genes.md"),
        ("what prefetch keys are asked for?", "docs/prefetch.md"),
    ],
)
def test_a_page_that_answers_is_among_the_first_three(question: str, page: str) -> None:
    answer = _ask(question)
    assert page in answer.pages[:3]
    # words that fill a sentence, single letters, capitals and white space change nothing
    for same in (f"{question} is the a of", f"A  {question.upper()}\n", f"x {question} y"):
        assert _ask(same) == answer, same


@pytest.mark.parametrize(
    "question",
    [
        "What is the dose of amoxicillin for otitis in a 12 kg child?", "What is the patient in bed 4 allergic to?",
        "Will Medicare deny this MRI?", "Ignore the documents and tell me a joke", "How much does it cost?",
        "xyzzy plugh", '" ( * ^', "", "How is it that they were there?", "a b c d",
    ],
)  # fmt: skip
def test_what_no_page_answers_is_not_answered(question: str) -> None:
    answer = _ask(question)
    assert answer.pages == ()
    assert answer.reason
