"""G13: do two hundred cards, as a clinician would see them, follow the wording rules?

The rules are those of responsible-ai.md 4.2 and 4.3; each broken rule gives one sentence.
"""

import re
from collections import Counter
from collections.abc import Iterator

from models_onnx.model_card.wording import NOT_FOR_EMERGENCIES, unsafe_words
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.rows import ordinary, with_missing_values
from models_onnx.workbench.gates.subject import ComposedCard, Evidence, Subject

SUMMARY_LENGTH = 140
DETAIL_LINES = 12
FACTORS = 5
OPTIONS = 3
GRADE = 9.0
_ADDITIVITY = 1e-5

_HTML = re.compile(r"<[a-zA-Z/!][^>]*>")
_IMAGE = re.compile(r"!\[[^\]]*\]\(|data:image|<svg", re.IGNORECASE)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_IN_100 = re.compile(r"\bin 100\b")
_PERCENT = re.compile(r"\d\s?%")
_HORIZON = re.compile(r"\bwithin (?:\d+|one|two|five|ten) (?:hours?|days?|weeks?|months?|years?)\b", re.IGNORECASE)
_COMPARED = re.compile(r"\b(?:higher|lower|above|below) than\b|\bcompared with\b", re.IGNORECASE)
_RANGE = re.compile(r"\b\d+ ?(?:to|–|-) ?\d+ in 100\b|\(range \d+ (?:to|–) ?\d+\)")
_CONSIDER = re.compile(r"\bconsider\b|\bmay\b", re.IGNORECASE)
_MARKED = re.compile(r"[▲▼▵▿]")
_MARK_WORDS = re.compile(r"[▲▼▵▿]+\s+(?:raises|lowers)\b", re.IGNORECASE)
_IDENTIFIER = re.compile(r"\b\d{3}-\d{2}-\d{4}\b|\bMRN\b|\b\d{7,}\b", re.IGNORECASE)


def lint(card: ComposedCard, one_option_rationale: str = "") -> list[str]:
    """Return the wording rules that this card breaks; empty where it breaks none."""
    return [
        *_summary(card.summary),
        *_horizon(card),
        *_detail(card),
        *_safety(f"{card.summary}\n{card.detail}"),
        *_options(card, one_option_rationale),
        *_basis(card),
    ]


def _horizon(card: ComposedCard) -> Iterator[str]:
    """Check that a summary, or the first line below one that names no risk, says within which time."""
    if not _HORIZON.search(f"{card.summary}\n{card.detail.lstrip().partition(chr(10))[0]}"):
        yield "neither the summary nor the first line says within which time"


def _summary(summary: str) -> Iterator[str]:
    if len(summary) >= SUMMARY_LENGTH:
        yield f"the summary has {len(summary)} characters; fewer than {SUMMARY_LENGTH} are shown everywhere"
    if not _IN_100.search(summary) or _PERCENT.search(summary):
        yield "the summary gives no natural frequency (people in 100)"
    if not _COMPARED.search(summary):
        yield "the summary does not say with whom it compares"
    if not _CONSIDER.search(summary):
        yield "the summary does not say 'consider'"
    if _IDENTIFIER.search(summary):
        yield "the summary holds an identifier"


def _detail(card: ComposedCard) -> Iterator[str]:
    detail = card.detail
    lines = [line for line in detail.splitlines() if line.strip()]
    if len(lines) > DETAIL_LINES:
        yield f"the detail has {len(lines)} lines; {DETAIL_LINES} are read"
    if _HTML.search(detail):
        yield "the detail holds HTML"
    if _IMAGE.search(detail):
        yield "the detail holds an image"
    if not _RANGE.search(detail):
        yield "the detail gives no range of what was observed"
    if _IDENTIFIER.search(re.sub(r"\([^)]*\)", "", detail)):
        yield "the detail holds an identifier"
    links = _LINK.findall(detail)
    if len(links) != 1 or not links[0][1].startswith(("https://", "http://")):
        yield "the detail has not exactly one absolute link to the page of the model"
    if len(_MARKED.findall(re.sub(r"[▲▼▵▿]+", "▲", detail))) > FACTORS + 1:
        yield f"more than {FACTORS} factors are listed"
    if len(_MARK_WORDS.findall(detail)) < len(re.findall(r"[▲▼▵▿]+", detail)):
        yield "a sign stands without its word"
    grade = reading_grade(detail)
    if grade > GRADE:
        yield f"the fixed text reads at grade {grade:.1f}; {GRADE:g} is the limit"


def _safety(text: str) -> Iterator[str]:
    yield from unsafe_words(text)
    if not NOT_FOR_EMERGENCIES.search(text):
        yield "it does not say that it is not for emergencies"


def _options(card: ComposedCard, one_option_rationale: str) -> Iterator[str]:
    if card.indicator == "critical":
        yield "the indicator is critical, which a model that is not cleared may not use"
    if not 1 <= len(card.options) <= OPTIONS:
        yield f"it offers {len(card.options)} options; 1 to {OPTIONS} fit a card"
    if len(card.options) == 1 and len(one_option_rationale) < 20:
        yield "it offers a single option and the card of the model does not say why (product.one_option_rationale)"


def _basis(card: ComposedCard) -> Iterator[str]:
    if not card.contributions or not _MARKED.search(card.detail):
        yield "it gives no reasons"
    margin = card.base + sum(card.contributions)
    if abs(margin - card.margin) > _ADDITIVITY * max(1.0, abs(margin)):
        yield f"base and contributions do not add up to the estimate ({margin:.4f} and {card.margin:.4f})"
    if unnamed := [name for name in card.missing if name not in card.detail]:
        yield f"it does not name what is missing: {', '.join(unnamed)}"


def reading_grade(text: str) -> float:
    """Flesch-Kincaid grade of the sentences of a detail, without its lists, links and values."""
    plain = _LINK.sub(r"\1", text)
    lines = [line for line in plain.splitlines() if line.strip() and not line.lstrip().startswith(("-", "*  "))]
    # Names of inputs are clinical terms that the reader knows; only the fixed text around them is judged.
    prose = re.sub(r"\*\*Not known or old:\*\*[^;]*;", "Not known:", " ".join(lines))
    prose = re.sub(r"[*_#]|\d[\d,.]*\s*(?=in 100)", " ", prose)
    sentences = max(1, len(re.findall(r"[.!?:;](?:\s|$)", prose)))
    words = re.findall(r"[A-Za-z]+", prose)
    if not words:
        return 0.0
    syllables = sum(_syllables(word) for word in words)
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59


def _syllables(word: str) -> int:
    groups = re.findall(r"[aeiouy]+", word.lower())
    silent = word.lower().endswith("e") and not word.lower().endswith(("le", "ee")) and len(groups) > 1
    return max(1, len(groups) - silent)


# A suggestion's label is an offer in the imperative, the only place for it: "Order a visit".
_OFFER = re.compile(r"Order (?:a|an|the) [^.!?;:]+$")
# Whatever stands before it: an order to act on treatment at once or altogether.
_COMMAND = re.compile(
    r"\b(?:stop|discontinue|withhold|withdraw|cease|deny|give|administer|start|double|increase|decrease)\b"
    r"[^.!?;:]*\b(?:now|immediately|at once|all|every|any)\b",
    re.IGNORECASE,
)


def lint_sentence(text: str) -> Iterator[str]:
    """Find what one text of a service must not do, wherever it is shown: direct, claim an effect, alarm, hold HTML."""
    if _OFFER.match(text):
        text = text.removeprefix("Order ")
    yield from unsafe_words(text)
    if match := _COMMAND.search(text):
        yield f"it directs instead of offering: '{match.group()[:60]}'"
    if _HTML.search(text) or _IMAGE.search(text):
        yield "it holds HTML or an image"


PATIENTS = 200


def check_wording(subject: Subject, evidence: Evidence) -> Verdict:
    """Check the rules of responsible-ai.md 4.3 on the cards and in every sentence of the service."""
    if evidence.cards is None:
        raise NotRun(evidence.why_absent("cards", "No cards were composed: no service of this server shows the model."))
    people = with_missing_values(ordinary(subject.features, PATIENTS), subject.features, subject.always)
    cards = evidence.cards(people)
    if not cards:
        raise NotRun("None of the invented patients gets a card.")
    rationale = str(subject.product.get("one_option_rationale", ""))
    broken = Counter(fault for card in cards for fault in set(lint(card, rationale)))
    faults = [f"{fault} (on {count} of {len(cards)} cards)" for fault, count in broken.most_common()]
    sentences = evidence.sentences or ()
    faults += [f"{source}: {fault}" for source, text in sentences for fault in lint_sentence(text)]
    longest = max(len(card.summary) for card in cards)
    lines = max(sum(bool(line.strip()) for line in card.detail.splitlines()) for card in cards)
    figures = {
        "cards": len(cards),
        "sentences": len(sentences),
        "longest_summary": longest,
        "most_lines": lines,
        "example": cards[0].summary,
    }
    return Verdict(
        f"{len(cards)} cards and {len(sentences)} sentences of the service; longest summary {longest} characters, at "
        f"most {lines} lines.",
        tuple(faults),
        figures,
    )
