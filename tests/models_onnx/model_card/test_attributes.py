"""A card takes no decision from a clinician."""

from models_onnx.model_card.wording import unsafe_words
from tests.each import for_each

DIRECTIVES = {
    "Stop metformin.": "Stop", "The risk is high. Please refer the patient.": "Please refer",
    "High: start a statin": "start", "Risk (high) Order a test": "Order", "Of note:\n- Begin dialysis": "Begin",
    "Really? Avoid it": "Avoid", "Do not discharge": "", "Make sure that somebody looks": "Make sure",
    "Call the nurse": "Call", "Please page the resident": "Please page", "You must look": "You must",
    "The patient has to go": "", "Patients need to fast": "Patients need to", "It must be stopped": "must be stopped",
    "It should immediately be withheld": "should immediately be withheld", "He is to be admitted": "is to be admitted",
    "We strongly recommend it": "We strongly recommend", "The model advises it": "The model advises",
    "The score requires a visit": "The score requires", "A test is strongly recommended": "is strongly recommended",
    "A visit is mandatory": "is mandatory", "It is time to talk": "It is time to",
}  # fmt: skip
HARMLESS = (
    "Gives information to consider when deciding.", "The clinician may start a statin.", "Do nothing about it.",
    "A call by the nurse came first.", "Transfer of care is not an input.", "Call by name", "Hold",
    "Patients who needed to fast were left out.", "The recommended dose is not an input.", "It is timed to the visit.",
    "Nobody must look.", "",
)  # fmt: skip


def test_a_directive_takes_the_decision_from_the_clinician() -> None:
    def check(text: str, words: str) -> None:
        found = list(unsafe_words(text))
        assert found[:1] == ([f"it directs instead of offering: '{words}'"] if words else [])

    for_each(((text, (text, words)) for text, words in DIRECTIVES.items()), check)


def test_what_only_looks_like_a_directive_may_be_said() -> None:
    for_each(((text, (text,)) for text in HARMLESS), lambda text: _is_said(text))


def _is_said(text: str) -> None:
    assert list(unsafe_words(text)) == []
