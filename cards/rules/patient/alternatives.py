"""Two orders of one drug that are meant to stand side by side, as their own words say: order sets hold many of them.

One is for when the other cannot be taken, each is for another severity or score of a symptom or for other days of the
week, one begins when the other has ended, or one is the bolus before an infusion. What two orders do not say of
themselves is not assumed.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fhir.mapping.medications.identity import Order
from fhir.terminology.caching import remembered

_LONGEST: Final = 500
_IN_PLACE: Final = re.compile(
    r"(?<!hold )(?<!held )(?<!dose )\b(?:if|when|while)\b(?: (?:patient|pt|he|she|is|are)){0,3} "
    r"(?:(?:unable|not able|cannot|can ?not|can't) (?:to )?(?:take|tolerate|swallow)|not tolerating"
    r"|npo\b|nothing by mouth|no (?:iv|oral|enteral) access|refus(?:es|ing) (?:po|oral|by mouth))"
    r"|\b(?:in place of|instead of|alternative to|give only one)\b",
    re.IGNORECASE,
)
_SCORE: Final = re.compile(
    r"\b(?P<scale>ciwa|cows|rass|cpot|score|scale|pain)(?:-ar)?\W{0,3}(?:score |scale )?(?:of |is )?"
    r"(?P<side>[><]=?|≥|≤|over|under|above|below|at least|(?:greater|more|less) than)? ?"
    r"(?P<low>\d{1,2})(?: ?(?:-|–|to) ?(?P<high>\d{1,2})|(?P<more> or (?:more|greater|higher|above)))?",
    re.IGNORECASE,
)
_ANY_SCALE: Final = "score"
_HIGHEST: Final = 99
_OF_WITHDRAWAL: Final = frozenset({"ciwa", "cows"})
"""Scores by which one of several doses is given each hour: they are not added up."""
_SEVERITY: Final = re.compile(r"\b(mild|moderate|severe|breakthrough)\b", re.IGNORECASE)
_BOLUS: Final = re.compile(r"\bbolus\b|\bpush\b|\bivp\b|\bload", re.IGNORECASE)
_BY_APTT: Final = re.compile(r"\baptt\b", re.IGNORECASE)
"""Of heparin: a later bolus by the result."""
_INFUSION: Final = re.compile(
    r"\bcontinuous|\binfus|\bdrip\b|\bover \d+ ?(?:h|hr|hrs|hours?)\b|/ ?(?:h|hr|hour)\b|\bper hour\b", re.IGNORECASE
)
_NO_BOLUS_NOW: Final = re.compile(
    r"\b(?:if|when|prn|as needed)\b|\baptt ?(?:[<>≤≥\d]|less|under|below)|\bre-?bolus"
    r"|\b(?:after|following|post|no|without|omit|skip)[ -](?:\w+ ){0,2}(?:bolus|load)",
    re.IGNORECASE,
)
"""What is given later, on a condition, or was given."""
_PARTS: Final = re.compile(r"[;,]|\.(?!\d)|\bthen\b", re.IGNORECASE)
_AMOUNT = r"(?<![\w.])\d[\d.,]* ?(?:m?c?g|µg|units?|iu|m?eq|ml|tab\w*|cap\w*)\b"
# "2 g load then 1 g q12h" begins with one dose; "10 mg BID x 7 days then 5 mg BID" and a taper do not.
_THEN_MORE = r"\b(?:then|followed by)\b"
_LOADS_FIRST: Final = re.compile(
    r"(?!.{0,80}?(?:\bq ?\d|\bq[adh]|\b[bt]id\b|dail|nightly|every|week|days?\b|times|doses|continuous|/ ?h|/ ?min"
    rf"|prn|\bif\b|as needed|\btaper).{{0,80}}?{_THEN_MORE})"
    rf"[^;]{{0,40}}?{_AMOUNT}[^;]{{0,60}}?{_THEN_MORE}.{{0,40}}?{_AMOUNT}",
    re.IGNORECASE,
)
_DAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
_WEEKDAY: Final = (
    r"\b(?:mon(?:days?)?|tue(?:s(?:days?)?)?|wed(?:nesdays?)?|thu(?:r(?:s(?:days?)?)?)?|fri(?:days?)?|sat(?:urdays?)?"
    r"|sun(?:days?)?)\b"
)
_WEEKDAYS: Final = re.compile(
    rf"{_WEEKDAY}(?: ?(?:-|–|to|through) ?{_WEEKDAY})?|\bweekends?\b|\b(?:all )?other days\b", re.IGNORECASE
)
_MOST_OF_A_WEEK: Final = 5
_UNIT_DAYS: Final = {"d": 1, "w": 7}
_BEGINS: Final = re.compile(r"\b(?:start|begin|from)\w*,? (?:on )?(day|week) (\d{1,3})\b", re.IGNORECASE)
_THEN: Final = re.compile(
    r"^\W*then\b|\b(?:start|begin)\w*\b.{0,20}\bafter (?:the )?last\b"
    r"|\bafter [^.;]{1,40}\b(?:is|are|has been) (?:stopped|ended|completed|finished)\b",
    re.IGNORECASE,
)
_STOPS: Final = re.compile(r"\bthen stop\b|\bx ?\d+ ?h", re.IGNORECASE)
_ENDS: Final = re.compile(
    r"(?:\bfor|\bx|×) ?(\d{1,3}) ?(d|w)(?:ays?|eeks?|k|ks)?\b"
    r"|\b(d|w)(?:ays?|eeks?) ?\d{1,2} ?(?:-|–|to|through) ?(\d{1,3})",
    re.IGNORECASE,
)


class _Schedule(Struct, frozen=True):
    """What the words of an order say of when it is given and another is not."""

    is_in_place: bool
    is_bolus: bool
    is_infusion: bool
    gives_bolus: bool
    """Whether it gives a bolus now."""
    scores: Mapping[str, tuple[int, int]]
    severities: frozenset[str]
    weekdays: frozenset[str]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    is_then: bool
    """Whether it says that it begins after another, without a day."""
    has_end: bool
    loads_first: bool
    """Whether it begins with one dose of its own: "2 g load then 1 g every 12 hours"."""
    is_conditional: bool

    def follows(self, other: "_Schedule") -> bool:
        """Whether the order says that it begins when the other has ended, and that other says when it ends."""
        if self.begins and other.ends:
            return min(self.begins) >= max(other.ends)
        return self.is_then and other.has_end

    def is_bolus_of(self, infusion: "_Schedule") -> bool:
        """Whether the order is the bolus before an infusion that gives none itself, or is given on a condition."""
        if not self.is_bolus or self.is_infusion or not infusion.is_infusion:
            return False
        return not (self.gives_bolus and infusion.gives_bolus)


def are_taken_by_turns(first: Order, second: Order) -> bool:
    """Whether the words of two orders say that only one is given at a time: their doses are not added up."""
    return _by_turns(_schedule_of(first), _schedule_of(second))


def are_meant_together(first: Order, second: Order) -> bool:
    """Whether the words of both orders say why both stand: by turns, graded by severity, or a bolus and an infusion."""
    mine, theirs = _schedule_of(first), _schedule_of(second)
    if _by_turns(mine, theirs) or _are_graded(mine, theirs) or _are_parted(mine.severities, theirs.severities):
        return True
    return mine.is_bolus_of(theirs) or theirs.is_bolus_of(mine)


def gives_a_second_load(single: Order, other: Order) -> bool:
    """Whether an order of one dose stands beside one that itself begins with a dose: "2 g load then 1 g q12h"."""
    return _schedule_of(other).loads_first and not _schedule_of(single).is_conditional


def _by_turns(mine: _Schedule, theirs: _Schedule) -> bool:
    if mine.is_in_place or theirs.is_in_place or _are_graded(mine, theirs, _OF_WITHDRAWAL):
        return True
    return _share_a_week(mine.weekdays, theirs.weekdays) or mine.follows(theirs) or theirs.follows(mine)


def _are_graded(mine: _Schedule, theirs: _Schedule, scales: frozenset[str] | None = None) -> bool:
    """Whether both orders name values of one scale that never hold at once."""
    own, others = mine.scores, theirs.scores
    shared = own.keys() & others.keys() if scales is None else own.keys() & others.keys() & scales
    return any(own[scale][1] < others[scale][0] or others[scale][1] < own[scale][0] for scale in shared)


def _scores(words: str) -> dict[str, tuple[int, int]]:
    """Return the lowest and the highest value of each scale that is named."""
    scores: dict[str, tuple[int, int]] = {}
    for match in _SCORE.finditer(words):
        scale, side = match["scale"].casefold(), (match["side"] or "").casefold()
        low, high = int(match["low"]), int(match["high"] or match["low"])
        if side in (">", "over", "above", "greater than", "more than"):
            low, high = low + 1, _HIGHEST
        elif side in (">=", "≥", "at least") or match["more"]:
            high = _HIGHEST
        elif side:
            low, high = 0, high if side in ("<=", "≤") else high - 1
        name = _ANY_SCALE if scale in ("pain", "scale") else scale
        before = scores.get(name, (low, high))
        scores[name] = min(before[0], low), max(before[1], high)
    return scores


def _share_a_week(own_days: frozenset[str], other_days: frozenset[str]) -> bool:
    """Whether the orders are for different days of the week that are most of it together: two weekly doses are not."""
    if "other" in own_days | other_days:
        return own_days != other_days and bool(own_days) and bool(other_days)
    return _are_parted(own_days, other_days) and len(own_days | other_days) >= _MOST_OF_A_WEEK


def _weekdays(words: str) -> set[str]:
    named: set[str] = set()
    for match in _WEEKDAYS.finditer(words):
        text = match[0].casefold()
        days = [day[:2] for day in re.findall(r"mon|tue|wed|thu|fri|sat|sun", text)]
        if "other" in text or "weekend" in text:
            named |= {"other"} if "other" in text else {"sa", "su"}
        elif len(days) == 2 and _DAYS.index(days[0]) < _DAYS.index(days[1]):
            named |= set(_DAYS[_DAYS.index(days[0]) : _DAYS.index(days[1]) + 1])
        else:
            named |= set(days)
    return named


def _days(number: int, unit: str) -> int:
    return number * _UNIT_DAYS[unit[0].casefold()]


def _are_parted(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    return bool(mine) and bool(theirs) and mine.isdisjoint(theirs)


def _schedule_of(order: Order) -> _Schedule:
    """Read the texts of the sig and for what it is needed."""
    needed = (dosage.asNeededCodeableConcept for dosage in order.dosageInstruction)
    texts = [dosage.text for dosage in order.dosageInstruction]
    texts += [concept.words for concept in needed if concept is not None]
    texts += ["as needed" for dosage in order.dosageInstruction if dosage.asNeededBoolean]
    return _schedule(" ".join(text[:_LONGEST] for text in texts if text))


# Each order of a drug is compared with every other one: its words are read once.
@remembered("orders beside orders", entries=2048, longest=_LONGEST)
def _schedule(words: str) -> _Schedule:
    ends = [_days(int(match[1] or match[4]), match[2] or match[3]) for match in _ENDS.finditer(words)]
    is_infusion = bool(_INFUSION.search(words))
    loads_first = bool(_LOADS_FIRST.match(words))
    parts = _PARTS.split(words) if is_infusion else [words]
    return _Schedule(
        is_in_place=bool(_IN_PLACE.search(words)),
        is_bolus=bool(_BOLUS.search(words) or _BY_APTT.search(words)),
        is_infusion=is_infusion,
        gives_bolus=loads_first or any(_BOLUS.search(part) and not _NO_BOLUS_NOW.search(part) for part in parts),
        scores=_scores(words),
        severities=frozenset(match[0].casefold() for match in _SEVERITY.finditer(words)),
        weekdays=frozenset(_weekdays(words)),
        begins=tuple(_days(int(match[2]) - 1, match[1]) + 1 for match in _BEGINS.finditer(words)),
        ends=tuple(ends),
        is_then=bool(_THEN.search(words)),
        has_end=bool(ends) or bool(_STOPS.search(words)),
        loads_first=loads_first,
        is_conditional=bool(_NO_BOLUS_NOW.search(words)),
    )
