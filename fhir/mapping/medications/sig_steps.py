"""Splits the words of a dose that changes over time into its steps: "40 mg daily x 3 days, then 20 mg daily".

A step is a sig of its own. Where one of them has no amount or no frequency nothing is split, so that the dose is not
known and says so.
"""

import re
from collections.abc import Iterator

from fhir.mapping.medications.sig import LONGEST_SIG, Sig, read_sig
from fhir.mapping.medications.sig_frequency import (
    AMOUNT,
    DAYS_OF_WEEK,
    find_frequencies,
    named_days,
    normalise_sig,
    without_days,
)
from fhir.record.text_budget import REMEMBERED
from fhir.terminology.caching import remembered

_MOST_STEPS = 12
_THEN = re.compile(r"[,;.]? ?(?:\band )?\b(?:then|followed by|after that)\b[,:]? ?")
_AND_STOP = re.compile(r"[,;.]? ?(?:and )?\bthen (?:stop|off|d/c|dc|discontinue)\.?$")
_LISTED = re.compile(r"[,;] ?(?:and )?")
# "Days 2-5", "on day 1:", "weeks 1-2", "today": what says when a step is, and for how long.
_WHEN = re.compile(
    r"(?:\bon )?\b(?P<unit>days?|weeks?|wks?) (?P<first>\d{1,3})(?: ?(?:-|to|through|thru) ?(?P<last>\d{1,3}))?\b:?"
    r"|\b(?:today|tomorrow|(?:(?:on )?the )?first day)\b"
)
_BOUND = re.compile(r"(?:\b(?:for|x)|×) ?(?:the (?:first|next) )?\d{1,3} ?-?(?:d|days?|wks?|weeks?|mo|months?)\b")
_LEAD = re.compile(
    r"^(?:please )?(?:(?:start|begin)(?:ing)?(?: with| at)?|initially"
    r"|(?:increas|decreas|reduc|lower|rais|taper|titrat|chang|switch|go|continu)\w*(?: the dose| dose| up| down)?"
    r"(?: to| with| at)?)\b(?! by\b):? ?"
)
_LOADING = re.compile(r"\b(?:as an? )?(?:iv )?(?:bolus|load(?:ing)?(?: dose)?)\b(?: once| x ?1)?")
_ONGOING = re.compile(
    r"\b(?:thereafter|afterwards?|ongoing|from then on|until (?:gone|finished|done)"
    r"|(?:start|beginn)ing (?:on |at |in )?(?:day|week) \d{1,3})\b"
)
_OTHER_DAYS = re.compile(r"\b(?:(?:on )?(?:all )?(?:the )?other days|(?:the )?rest of the week)\b")
_EXCEPT = re.compile(r"\b(?:except|but)(?: for)?(?: take)?\b")
_ALTERNATE = re.compile(r"\balternat(?:e|ing)(?: between| with)?\b")
_EVEN_OR_ODD = re.compile(r"\b(?:on )?(?:the )?(?P<which>even|odd)(?:[- ]numbered)? days?\b")
_ON = re.compile(r" (?:on|and|every)$")
_OR = re.compile(r"[,;] ?|\b(?:and|with|&)\b ?")


@remembered("steps of sigs", entries=2048, longest=REMEMBERED)
def steps_of(words: str) -> tuple[str, ...]:
    """Return the sigs that follow one another, or that hold on different days of the week; empty where it is one sig.

    >>> steps_of("Take 2 tablets on day 1, then 1 tablet daily on days 2-5")
    ('take 2 tablets daily for 1 days', '1 tablet daily for 4 days')
    >>> steps_of("5 mg daily except 7.5 mg on Mondays")
    ('5 mg daily', '7.5 mg daily')
    >>> steps_of("taper as directed")
    ()
    """
    if len(words) > LONGEST_SIG:
        return ()
    text = normalise_sig(words)
    for split in (_over_time, _by_days):
        steps = tuple(split(text))
        if 1 < len(steps) <= _MOST_STEPS and all(map(_is_whole, steps)):
            # One dose may come before others: a loading dose; nothing is told where one comes last.
            return () if read_sig(steps[-1]).single else steps
    return ()


def _over_time(text: str) -> Iterator[str]:
    parts = _THEN.split(_AND_STOP.sub("", text))
    pieces = [piece for part in parts for piece in _listed(part)]
    if len(pieces) > 1:
        *before, last = pieces
        last = _as_often(_as_sig(before[-1]), _as_sig(last))
        # Days before what is taken more rarely than daily: "160 mg on day 1, then 40 mg every 2 weeks".
        is_rare = (read_sig(last).times_high or 1.0) < 1.0
        yield from (*(_as_sig(piece, once_a_day=not is_rare) for piece in before), last)


def _as_often(before: str, last: str) -> str:
    """Return the last step, as often as the one before where it does not say: "50 mg daily for 7 days, then 100 mg"."""
    sig, earlier = read_sig(last), read_sig(before)
    is_open = sig.amount is not None and sig.amount.unit.span_days is None and sig.times_high is None
    if not is_open or sig.problem is not None or earlier.single or earlier.times_high is None:
        return last
    return f"{last} {' '.join(before[time.start : time.end] for time in find_frequencies(before))}"


def _listed(part: str) -> list[str]:
    """Split a list without "then" into steps: each but the last says when or for how long it is, and all say how much.

    What is taken in the morning for a week and in the evening for a week may be at once: no list of steps.
    """
    pieces = _LISTED.split(part)
    while len(pieces) > 1 and read_sig(pieces[-1]) == Sig():
        pieces.pop()  # "with food"
    if len(pieces) == 1:
        return pieces
    whens = [_WHEN.search(piece) for piece in pieces]
    bounded = [when or _BOUND.search(piece) for when, piece in zip(whens, pieces, strict=True)]
    at_moments = any(time.by_clock for piece in pieces for time in find_frequencies(piece))
    are_steps = all(bounded[:-1]) and all(map(AMOUNT.search, pieces)) and (all(whens) or not at_moments)
    return pieces if are_steps else [part]


def _as_sig(piece: str, *, once_a_day: bool = True) -> str:
    """Return the piece as a sig; what is taken on one day is taken once where it is not `once_a_day`."""
    text = _LOADING.sub(" once ", _ONGOING.sub(" ", _LEAD.sub("", piece.strip(" ,;."))))
    when = _WHEN.search(text)
    if when is None:
        often = "" if _BOUND.search(text) is None or read_sig(text).times_high is not None else " daily"
        return f"{' '.join(text.split())}{often}"
    text = f"{text[: when.start()]} {text[when.end() :]}"
    days = 1
    if when["unit"]:
        first = int(when["first"])
        weeks = 1 if when["unit"].startswith("d") else 7
        days = (int(when["last"] or first) - first + 1) * weeks
    text = " ".join(text.split())
    # "6 tablets on day 1" is what is taken on that day.
    often = "" if read_sig(text).times_high is not None else " daily"
    if often and days == 1 and not once_a_day:
        return f"{text} once"
    return f"{text}{often}" if _BOUND.search(text) else f"{text}{often} for {days} days"


def _by_days(text: str) -> Iterator[str]:
    """Amounts of different days of the week that are every day together, and of alternate days."""
    by_date = {match["which"] for match in _EVEN_OR_ODD.finditer(text)} == {"even", "odd"}
    if by_date or _ALTERNATE.search(text):
        text = _EVEN_OR_ODD.sub(", ", text) if by_date else _ALTERNATE.sub(", ", text)
        sigs = map(AMOUNT.search, _OR.split(text))
        yield from (f"{match.group()} daily" for match in sigs if match is not None)
        return
    usual, *exceptions = _EXCEPT.split(text)
    if exceptions:
        days = [named_days(exception) for exception in exceptions]
        if len(exceptions) == 1 and days[0] and not named_days(usual):
            exception = _ON.sub("", " ".join(without_days(exceptions[0]).split()))
            yield from (" ".join(usual.split()), f"{exception} daily")
        return
    rest = _OTHER_DAYS.search(text) is not None
    pieces = [piece for piece in _OR.split(_OTHER_DAYS.sub(" other ", text)) if piece.strip()]
    amounts = [index for index, piece in enumerate(pieces) if AMOUNT.search(piece)]
    if len(amounts) < 2 or amounts[0] != 0:
        return
    groups = [" ".join(pieces[start:end]) for start, end in zip(amounts, [*amounts[1:], len(pieces)], strict=True)]
    sets = [named_days(group.replace("/", " ")) for group in groups]
    day_sets = [days for days in sets if days]
    together = frozenset().union(*day_sets)
    whole = (
        len(day_sets) == len(sets) - 1 if rest else together == frozenset(DAYS_OF_WEEK) and len(day_sets) == len(sets)
    )
    if whole and sum(map(len, day_sets)) == len(together):
        for group in groups:
            text = " ".join(without_days(group.replace("/", " ")).replace(" other", " ").split())
            text = _ON.sub("", text)
            yield text if read_sig(text).times_high is not None else f"{text} daily"


def _is_whole(step: str) -> bool:
    sig: Sig = read_sig(step)
    runs = sig.amount is not None and sig.amount.unit.span_days is not None
    return sig.problem is None and bool(sig.parts or sig.amount) and (sig.times_high is not None or runs)
