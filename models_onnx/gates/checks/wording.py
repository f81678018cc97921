"""G13: two hundred cards as a clinician would see them, held against the wording rules."""

from collections import Counter

from models_onnx.gates.card_lint import lint
from models_onnx.gates.gate import Gate
from models_onnx.gates.result import NotRun, Verdict
from models_onnx.gates.rows import ordinary, with_holes
from models_onnx.gates.subject import Evidence, Subject

PATIENTS = 200


def check_wording(subject: Subject, evidence: Evidence) -> Verdict:
    """No rule of responsible-ai.md 4.3 is broken on any of the cards."""
    if evidence.cards is None:
        raise NotRun(evidence.why_absent("cards", "No cards were composed: no service of this server shows the model."))
    people = with_holes(ordinary(subject.features, PATIENTS), subject.features, subject.always)
    cards = evidence.cards(people)
    if not cards:
        raise NotRun("None of the invented patients gets a card.")
    rationale = str(subject.product.get("one_option_rationale", ""))
    broken = Counter(fault for card in cards for fault in set(lint(card, rationale)))
    faults = [f"{fault} (on {count} of {len(cards)} cards)" for fault, count in broken.most_common()]
    longest = max(len(card.summary) for card in cards)
    lines = max(sum(bool(line.strip()) for line in card.detail.splitlines()) for card in cards)
    figures = {"cards": len(cards), "longest_summary": longest, "most_lines": lines, "example": cards[0].summary}
    return Verdict(
        f"{len(cards)} cards; longest summary {longest} characters, at most {lines} lines.", tuple(faults), figures
    )


GATES = (Gate("G13", "Wording of the card", "Does the card read as it should?", check_wording),)
