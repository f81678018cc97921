"""Reads a sig, the words of a prescription: "2 tabs po q6h prn", "500 mg twice daily x 14 days".

A dose that is not known has a `DoseProblem`: a reason for programs and a sentence for a person.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct, structs

from fhir.mapping.medications.sig_amounts import SigAmount, counted_on, doses_in, given_in, hours_in
from fhir.mapping.medications.sig_frequency import (
    A_DOSE,
    MEALS_A_DAY,
    NUMBER,
    SigFrequency,
    find_frequencies,
    named_days,
    normalise_sig,
    without_days,
)
from fhir.mapping.medications.sig_languages import has_sign
from fhir.mapping.medications.sig_limits import without_caps, without_maximum
from fhir.record.text_budget import REMEMBERED
from fhir.terminology.caching import remembered
from fhir.terminology.dosing import days_per_unit

ProblemReason: TypeAlias = Literal["not-stated", "contradiction", "no-weight", "unclear"]


class DoseProblem(Struct, frozen=True, gc=False):
    """Why a daily dose is not known; `text` completes the sentence "The daily dose cannot be computed: …".

    `reason` is "not-stated" where the order leaves it open, so that a quantity and the days it lasts may tell it;
    "contradiction" where code and repeat, or words and structure, differ; "no-weight" where the dose is for each
    kilogram and no weight is known; "unclear" for everything else.
    """

    text: str
    reason: ProblemReason = "unclear"

    def __str__(self) -> str:
        """Return the text alone."""
        return self.text


NO_DOSAGE = DoseProblem("no dosage instruction", "not-stated")
NO_DOSE = DoseProblem("the dose is not stated", "not-stated")
NO_FREQUENCY = DoseProblem("the frequency is not stated", "not-stated")
AS_NEEDED_WITHOUT_FREQUENCY = DoseProblem("as needed without a frequency", "not-stated")
LEFT_OPEN = DoseProblem("the words leave the dose open", "not-stated")
REPEATABLE = DoseProblem("one dose that may be repeated, and not when")
SLIDING_SCALE = DoseProblem("a sliding scale: the dose depends on what is measured")
TITRATED = DoseProblem("the dose is titrated")
BY_PATIENT = DoseProblem("given by a pump as the patient asks for it")
BY_PROTOCOL = DoseProblem("given by a protocol or on call")
CONTINUOUS = DoseProblem("a continuous infusion without a rate that can be read")
WORDS_DIFFER = DoseProblem("the words and the structured dose contradict each other", "contradiction")
CONTRADICTION = DoseProblem("timing code and repeat contradict each other", "contradiction")
NO_WEIGHT = DoseProblem("the dose is for each kilogram and no weight is known", "no-weight")

# Behind it stands what a dose may be raised to; "10 mg and up to 5 mg more" are two doses.
_MORE = r"\b(?:rais|advanc|escalat|increas|titrat|uptitrat|doubl)\w*"
_TO = rf"(?:{_MORE}(?! by\b)(?: \w+){{0,4}}? to|go(?: up)? to)"
_UP_TO = r"(?<!\band )(?<!\bplus )\bup to\b"
_RAISE = re.compile(
    rf"[,;.(]* ?(?:{_UP_TO}|\b{_TO}|\b(?:target|goal)(?: dose)?(?: of| is)?)(?: an?)?:?"
    rf"(?: max\w*\.?| total| target| goal)?(?: dose)?(?: of)?:? ?(?={A_DOSE})"
    rf"|[,;.(]* ?{_MORE}(?: \w+){{0,4}}? by {A_DOSE}[^;.]{{0,60}}?\b(?:to|max\w*\.?)(?: dose)?(?: of)?:? ?"
    rf"(?={A_DOSE})"
    rf"|[,;] ?(?={A_DOSE}[^,;]{{1,40}} (?:start|beginn)ing (?:on |at |in )?(?:day|week) \d)"
)
_MOST_RAISES = 8
"""Each step is read by itself: no titration has more, and a text that repeats one would be read for long."""
_RAISE_SIGNS = (" to ", "target", "goal", "ing ", " by ")
_DURATION = re.compile(
    rf"(?:\b(?:for|x|during|stop after)|×) ?(?:up to )?(?:(?:the )?(?:next )?)(?:{NUMBER} ?(?:-|to) ?)?"
    rf"(?P<count>{NUMBER}) ?-?"
    r"(?P<unit>d|days?|wks?|weeks?|mo|months?)\b(?! ?(?:/|per|a|each|every|in a) ?w(?:ee)?k)"
    r"|\b(?P<course>\d+)[- ]?d(?:ays?)? course"
    rf"|\b(?P<lasting>{NUMBER}) (?P<lasting_unit>days?|weeks?|months?) (?:lang|long)\b"  # "5 Tage lang", "5 dagen lang"
    # "Duration: 14 days", and what stands alone at the end behind a comma or how often: "200 mg BID, 10 days". Four
    # weeks and more there are what was dispensed as often as a course.
    rf"|\bduration:? ?(?:of )?(?P<alone>{NUMBER}) (?P<alone_unit>days?|weeks?|months?) ?(?=[.;)]|$)"
    r"|(?:, ?|(?<=\d hours )|(?<=daily )|(?<=a day )|(?<=\b[bt]id )|(?<=\bqid )|(?<=\dx\d ))"
    r"(?P<last>(?:[1-9]|1\d|2[0-7])(?= ?d)|[1-3](?= ?w)) ?(?P<last_unit>d(?:ays?)?|w(?:eek|k)s?) ?(?=[.;)]|$)"
    # "for 5/7" and "for 2/52", as prescribers of the United Kingdom write days and weeks.
    r"|\b(?:for|x) ?(?P<share>\d{1,2})/(?P<share_of>7|52)\b(?! ?(?:days? )?(?:/|per|a|each|every|in a) ?w(?:ee)?k)"
)
_DURATION_SIGNS = ("for", "x", "during", "after", "×", "course", "lang", "long", "duration", ",", "da", "id ")
# Days behind a comma that are those of a supply or a pause.
_IS_NO_COURSE = re.compile(
    r"\b(?:suppl(?:y|ied)|disp(?:ense[ds]?)?|qty|quantity|started|(?:days?|weeks?) on)\b"
    r"|\b(?:patch(?:es)?|ring|pen)\b ?$"  # "1 patch, 7 days" is how long each is worn
)
_DAYS_OF_SHARE = {"7": 1.0, "52": 7.0}
_SINGLE = re.compile(
    r"\b(?:once(?! (?:a|per|every|each|daily|weekly|monthly|nightly|in the))|one time(?! (?:a|per|daily))|single dose"
    r"|x ?1(?: dose)?(?![\d./-])|1 ?x(?! ?\d| ?(?:/|per|a|daily))|stat|1 dose)\b"
)
_AS_NEEDED = re.compile(
    r"\b(?:prn|p\.r\.n\.?|(?:as|if|when) (?:needed|required|necessary)|may (?:be )?repeat(?:ed)?"
    r"|(?:loose|liquid) stool)(?!\w)"
)
_CHANGES = re.compile(
    r"\b(?:then(?! (?:stop|off|d/c|dc|discontinue)\b)|taper\w*|decreas\w*|reduc\w*"
    rf"|(?!{_TO} {A_DOSE}){_MORE}"
    r"|(?<!a )day 1(?! ?(?:tab|cap|pill|patch))"
    r"|days? \d+ ?(?:-|to|through) ?\d+|(?<!once )(?<!once as a )loading(?! dose(?: once\b| now\b| stat\b|:? ?x ?1\b))"
    r"|followed by|mr ?x?\d|may repeat|(?<!a )week 1|alternat\w*(?! days?\b)"
    r"|(?:sliding|correction|insulin|to|per|by|plus) (?:the )?scale|correction|ssi|carbs?|(?:chang|switch)\w* from"
    r"|additional|another|pca|lockout|(?:dialysis|hd|chemo\w*) days?"
    r"|extra(?!.strength)|\d (?:days?|weeks?) (?:on(?! an? )|off)|weeks (?:a|per|out of))\b"
)
# The days of a cycle, "days 1-14 every 21 days", "on day 1 of a 21-day cycle", "day 1, 8 and 15": what is taken on them
# is the dose.
_DAYS_OF_CYCLE = r",? (?:of|every|q) ?(?:(?:an?|each|every|the) )?\d{1,2}[- ]?(?:d|days?|w|weeks?)\b(?: cycles?\b)?"
_CYCLE = re.compile(
    rf"(?:\bon )?\bdays? 1(?: ?(?:-|to|through) ?\d{{1,2}}\b(?:{_DAYS_OF_CYCLE})?|{_DAYS_OF_CYCLE}| ?$"
    rf"|(?:(?:, ?| ?(?:and|&) ?)\d{{1,2}}\b(?! ?(?:m?g|ml)\b)){{1,9}}(?:{_DAYS_OF_CYCLE})?)"
)
# "x 4 doses", "twice daily, 14 doses"; "q2h x 2" are two doses too, "BID x 3" may be three days.
_DOSES = re.compile(
    r"(?:(?:\bx|\bfor|×) ?(?:a total of )?|, ?(?=\d\d? doses ?(?:[.;)]|$)))(?P<count>\d{1,2}) (?:more )?doses\b"
    r"|\d ?h x ?(?P<bare>\d)(?![\d.]| ?(?:d|days?|w|wks?|weeks?|mo|months?|h|min|mg)\b)"
)
# "In the morning 1, in the evening 2 tablets": the first number is of tablets, too.
_MOMENT_FIRST = re.compile(
    rf"(?:morning|noon|evening|bed ?time|night|breakfast|lunch|dinner|am|pm):? {NUMBER} ?(?:[,;]|and\b)"
)
_MEALS = re.compile(r"\b(?:meals|(?:each|every) meal)\b")
_AS_DIRECTED = re.compile(r"\b(?:(?:as|use) directed|per protocol|ud|asdir)\b")
PER_DAY: Final = re.compile(r" ?(?:/|per|a) ?(?:day|d|24 ?h(?:ours|rs|r)?)\b")
_DIVIDED = re.compile(r"\b(?:divided|in \d+ (?:equal )?doses)\b")
_DAYS_UNCLEAR = DoseProblem("the words name single days of the week")
_DAYS_DIFFER = DoseProblem("the words name days of the week that are left out or differ")
SEVERAL = DoseProblem("the words name several amounts")
CHANGING = DoseProblem("the dose changes over time or is left open")


class Sig(Struct, frozen=True, gc=False):
    """The content of a sig; None for what it does not say. `times_low` counts only where `times_high` is stated.

    `parts` are amounts with their times per day (several for "1 in the morning and 2 at bedtime"); `total_per_day`
    means that the amount is that of the whole day; `on_days` are the days of the week that are named ("mon");
    `is_raised`: the upper end of amount and times is what it may be raised to. `cap` is the most of one dose and
    `maximum` that of a day; `problem` says why the words were not understood.
    """

    parts: tuple[tuple[SigAmount, float, float], ...] = ()
    amount: SigAmount | None = None
    times_low: float = 0.0
    times_high: float | None = None
    total_per_day: bool = False
    single: bool = False
    as_needed: bool = False
    days: float | None = None
    maximum: SigAmount | None = None
    cap: SigAmount | None = None
    is_raised: bool = False
    on_days: frozenset[str] = frozenset()
    problem: DoseProblem | None = None


LONGEST_SIG = 1000
"""The most characters of a sig that are read; a longer one is not understood, and says so."""
_TOO_LONG = DoseProblem("the words are too long to be read")


@remembered("sigs", entries=4096, longest=REMEMBERED)
def read_sig(words: str) -> Sig:
    """Return what a sig says, as far as it is understood; a dose that changes over time is a problem, not a guess.

    >>> sig = read_sig("2 tabs po q6h prn")
    >>> sig.amount.high, sig.times_high, sig.as_needed
    (2.0, 4.0, True)
    """
    if len(words) > LONGEST_SIG:
        return Sig(problem=_TOO_LONG)
    text, cap, a_day = without_caps(normalise_sig(words))
    return _at_most(_read(text, Sig(maximum=a_day, cap=cap)), cap)


def _read(text: str, frame: Sig) -> Sig:
    """Return what words say of a dose, or of one and of what it may be raised to, each with its own times and days."""
    raises = [*_RAISE.finditer(text)] if has_sign(text, _RAISE_SIGNS) else []
    if len(raises) > _MOST_RAISES:
        return structs.replace(frame, problem=CHANGING)
    raise_to = next((match for match in raises if doses_in(text[: match.start()])), None)
    if raise_to is None:
        return _read_step(text, frame)
    start, end = raise_to.span()
    before, behind = text[:start], f"{' ' * end}{text[end:]}"
    times = [find_frequencies(part) for part in (before, behind)]
    moments = [{time.name for time in of_part} for of_part in times]
    if all(names and "" not in names for names in moments) and moments[0] != moments[1]:
        return _read_step(text, frame)  # "300 mg at noon, up to 600 mg at bedtime" are two doses
    first, last = _read_step(before, frame), _read(behind, frame)
    if first.days is not None and not first.single and "up to" not in raise_to.group():
        last = structs.replace(last, problem=CHANGING)
    is_a_day = [(time.name, time.high) for time in times[1]] == [("", 1.0)]  # "up to 8 tablets/day"
    sig = _raised(first, last, is_of_day=last.total_per_day or (is_a_day and last.times_high in (None, 1.0)))
    problem = said_instead(text, of_changes=True) if sig.problem == CHANGING else None
    return sig if problem is None else structs.replace(sig, problem=problem)


def _read_step(text: str, frame: Sig) -> Sig:
    most = without_maximum(text)
    sentence, as_needed = most.rest, _AS_NEEDED.search(most.rest) is not None
    maximum, cap = frame.maximum or most.of_day, frame.cap or most.of_dose
    frame = Sig(as_needed=as_needed, days=_days(sentence), maximum=maximum, cap=cap)
    sentence, durations = _DURATION.subn(" ", sentence)
    if durations > 1 and len(doses_in(sentence)) > 1:
        return structs.replace(frame, problem=CHANGING)
    if len(doses_in(sentence)) <= 1:
        sentence = _CYCLE.sub(" ", sentence)
    if _CHANGES.search(sentence):
        return structs.replace(frame, problem=said_instead(sentence, of_changes=True) or CHANGING)
    on_days = named_days(sentence)
    if on_days is None:
        return structs.replace(frame, problem=_DAYS_DIFFER)
    sig = _of_parts(without_days(sentence) if on_days else sentence, frame)
    if on_days:
        sig = _on_named_days(sig, on_days)
    if sig.amount is None and sig.times_high is None and not sig.parts and _AS_DIRECTED.search(sentence):
        return structs.replace(sig, problem=sig.problem or LEFT_OPEN)
    return sig if sig.maximum is not None or most.match is None else _with_counted_maximum(sig, most.match)


# What words say instead of a frequency, and why there is none then; the first that fits counts.
_INSTEAD = (
    (
        re.compile(
            r"\b(?:(?:sliding|correction|insulin|to|per|by|plus) (?:the )?scale|correction|ssi)\b", re.IGNORECASE
        ),
        SLIDING_SCALE,
    ),
    (re.compile(r"\b(?:pca|lockout)\b", re.IGNORECASE), BY_PATIENT),
    (re.compile(r"\btitrat", re.IGNORECASE), TITRATED),
    (re.compile(r"\bonce mr ?x?\d|\bmr ?x ?\d", re.IGNORECASE), REPEATABLE),
    (re.compile(r"\bprotocol\b|\bon call\b", re.IGNORECASE), BY_PROTOCOL),
    (re.compile(r"\binfusion\b|\bcontinuous(?:ly)?\b|\bdrip\b|\bgtt\b", re.IGNORECASE), CONTINUOUS),
    (_AS_DIRECTED, LEFT_OPEN),
    (_AS_NEEDED, AS_NEEDED_WITHOUT_FREQUENCY),
)
_OF_CHANGES = frozenset({SLIDING_SCALE, TITRATED, BY_PATIENT})


def said_instead(words: str, *, of_changes: bool = False) -> DoseProblem | None:
    """Why words name no frequency: a sliding scale, a protocol, an infusion, as needed; None where they say nothing.

    `of_changes`: only what changes the dose over time.

    >>> said_instead("once mr1").text
    'one dose that may be repeated, and not when'
    """
    if len(words) > LONGEST_SIG:
        return None
    problems = (problem for pattern, problem in _INSTEAD if pattern.search(words.lower()))
    return next((problem for problem in problems if not of_changes or problem in _OF_CHANGES), None)


def _on_named_days(sig: Sig, on_days: frozenset[str]) -> Sig:
    """ "10 mg on Mondays" is once a week, "1 tablet twice daily on Sat and Sun" four times."""
    unclear = structs.replace(sig, parts=(), times_low=0.0, times_high=None, problem=sig.problem or _DAYS_UNCLEAR)
    if sig.parts or sig.single or sig.problem:
        return unclear
    if sig.times_high is None:
        return structs.replace(sig, times_low=len(on_days) / 7.0, times_high=len(on_days) / 7.0, on_days=on_days)
    if sig.times_high < 1.0:
        # "Once weekly on Monday", "three times a week, Mon, Wed, Fri": the days say which.
        a_week = round(sig.times_high * 7.0)
        same = sig.times_low == sig.times_high and a_week in (1, len(on_days)) and len(on_days) in (1, a_week)
        return structs.replace(sig, on_days=on_days) if same else unclear
    share = len(on_days) / 7.0
    return structs.replace(sig, times_low=sig.times_low * share, times_high=sig.times_high * share, on_days=on_days)


def _at_most(sig: Sig, cap: SigAmount | None) -> Sig:
    """Return "15 mg/kg (1425 mg, max 1 g)" as 1 g; what is still for each kilogram is weighed first."""
    amount = sig.amount
    if amount is None or cap is None or amount.unit.kind != cap.unit.kind or sig.total_per_day:
        return sig
    if amount.unit.by_weight or cap.unit.by_weight or amount.unit.span_days is not None:
        return sig
    most = cap.high * cap.unit.factor / amount.unit.factor
    return structs.replace(sig, amount=structs.replace(amount, low=min(amount.low, most), high=min(amount.high, most)))


def _with_counted_maximum(sig: Sig, match: re.Match[str]) -> Sig:
    """ "Max 6 a day" is six of what is taken."""
    if sig.amount is None or sig.amount.unit.kind not in ("unit", "actuation"):
        return sig
    high = float(match["high"])
    return structs.replace(sig, maximum=SigAmount(high, high, sig.amount.unit, match.start(), match.end()))


def _of_parts(text: str, frame: Sig) -> Sig:
    amounts = counted_on(text, doses_in(text))
    if amounts is None or (amounts and _MOMENT_FIRST.search(text)):
        return structs.replace(frame, problem=SEVERAL)
    times = find_frequencies(_withoutdoses_in(text, amounts))
    if _DIVIDED.search(text):
        # "15 mg daily divided TID": the day is that of the amount.
        times = [time for time in times if time.high != 1.0] or times
    if len(amounts) > 1:
        parts = _parts(amounts, times, len(text))
        # "5 mg prn moderate pain, 10 mg prn severe pain" is not both.
        if parts is None or len(_AS_NEEDED.findall(text)) > 1:
            return structs.replace(frame, problem=SEVERAL)
        times_low, times_high = sum(part[1] for part in parts), sum(part[2] for part in parts)
        return structs.replace(frame, parts=parts, times_low=times_low, times_high=times_high)
    amount = amounts[0] if amounts else None
    if amount is None and all(time.name == "meals" for time in times):
        times = ()  # "Take with meals" is advice; how much so often stands elsewhere.
    doses = _DOSES.search(text)
    rate, together = _week_of_doses(times, doses) or (_agreed(times), 1.0)
    if amount is not None and together > 1.0:
        amount = structs.replace(amount, low=amount.low * together, high=amount.high * together)
    if times and (rate is None or _is_between_meals(text, times)):
        return structs.replace(frame, amount=amount, problem=DoseProblem("the words name several frequencies"))
    if amount is not None and (infused := _while_it_runs(text, amount, rate)) is not None:
        return structs.replace(frame, amount=infused, total_per_day=True, days=frame.days or 1.0)
    if amount is not None and _is_daily_total(text, amount, rate):
        low, high = (rate.low, rate.high) if rate is not None else (0.0, None)
        return structs.replace(frame, amount=amount, times_low=low, times_high=high, total_per_day=True)
    most = float(doses["count"] or doses["bare"]) if doses is not None else 0.0
    if most > 0.0 and (rate is None or rate.high >= 1.0):
        low, high = (min(rate.low, most), min(rate.high, most)) if rate is not None else (most, most)
        return structs.replace(
            frame, amount=amount, times_low=low, times_high=high, single=most == 1.0, days=max(1.0, most / high)
        )
    if rate is not None:
        as_needed = frame.as_needed or rate.at_most or (amount is not None and text[: amount.start].endswith("up to "))
        return structs.replace(frame, amount=amount, times_low=rate.low, times_high=rate.high, as_needed=as_needed)
    if _SINGLE.search(text):
        return structs.replace(frame, amount=amount, times_low=1.0, times_high=1.0, single=True, days=frame.days or 1.0)
    return structs.replace(frame, amount=amount)


def _raised(first: Sig, last: Sig, *, is_of_day: bool) -> Sig:
    """Return "500 mg twice daily, up to 1 g twice daily" as 500 mg to 1 g; of two the larger, where not both rise."""
    frame = Sig(
        as_needed=first.as_needed or last.as_needed,
        days=first.days or last.days,
        maximum=last.maximum or first.maximum,
        cap=last.cap or first.cap,
        single=first.single,
        on_days=first.on_days | last.on_days if last.on_days or (last.times_high or 0.0) < 1.0 else frozenset(),
        problem=first.problem or last.problem or CHANGING,
    )
    begun, most, often = first.amount, last.amount, first.times_high or (None if is_of_day else last.times_high)
    if begun is None or most is None or first.problem or last.problem or most.unit.span_days is not None:
        return frame
    is_other_unit = structs.replace(begun.unit, factor=most.unit.factor) != most.unit
    if is_other_unit or first.total_per_day or (first.single and last.times_high and not last.single):
        return frame
    high, after = most.high * most.unit.factor / begun.unit.factor, last.times_high or (1.0 if is_of_day else often)
    if not is_of_day and often is None:
        return frame
    frame = structs.replace(frame, amount=begun, times_low=first.times_low, times_high=often, problem=None)
    if often is None or after is None or (is_of_day and high < begun.high * often):
        return structs.replace(frame, maximum=most)  # "10 mg three times daily, up to 20 mg a day": the most of a day
    low = first.times_low or last.times_low
    if is_of_day and often > 1.0:
        high, after = high / often, often
    if high >= begun.high and after >= often:
        amount = structs.replace(begun, high=high)
        return structs.replace(frame, amount=amount, times_low=low, times_high=after, is_raised=True)
    if high * after > begun.high * often:
        return structs.replace(frame, amount=most, times_low=last.times_low or low, times_high=after)
    return structs.replace(frame, times_low=low)


def _is_between_meals(text: str, times: Sequence[SigFrequency]) -> bool:
    """Whether meals are named in a way that is not counted, and nothing but the time of the day beside them."""
    at_meals = any(time.name == "meals" for time in times)
    return not at_meals and _MEALS.search(text) is not None and all(time.by_clock for time in times)


def _withoutdoses_in(text: str, amounts: Iterable[SigAmount]) -> str:
    """Put a blank for each letter of an amount in the words: the day of "mg/kg/day" says nothing about how often."""
    for amount in amounts:
        text = f"{text[: amount.start]}{' ' * (amount.end - amount.start)}{text[amount.end :]}"
    return text


def _days(text: str) -> float | None:
    match = _DURATION.search(text) if has_sign(text, _DURATION_SIGNS) else None
    if match is None:
        return None
    if match["course"]:
        return float(match["course"])
    if match["share"]:
        return float(match["share"]) * _DAYS_OF_SHARE[match["share_of"]]
    if match["last"] and _IS_NO_COURSE.search(text[: match.start()]):
        return None
    unit = days_per_unit(match["unit"] or match["lasting_unit"] or match["alone_unit"] or match["last_unit"])
    count = match["count"] or match["lasting"] or match["alone"] or match["last"]
    return float(count) * unit if unit is not None else None


def _parts(
    amounts: Sequence[SigAmount], times: Sequence[SigFrequency], end: int
) -> tuple[tuple[SigAmount, float, float], ...] | None:
    parts = []
    for amount, until in zip(amounts, [*(amount.start for amount in amounts[1:]), end], strict=True):
        rate = _agreed([time for time in times if amount.end <= time.start < until])
        if rate is None or amount.unit.kind != amounts[0].unit.kind:
            return None
        parts.append((amount, rate.low, rate.high))
    return tuple(parts)


def _agreed(times: Iterable[SigFrequency]) -> SigFrequency | None:
    frequencies = list(times)
    most = [frequency for frequency in frequencies if frequency.at_most]
    if len(most) == 1 < len(frequencies):
        # "Every 4 hours, max 3 times a day" is at most three times, "twice daily, up to 5 times a day" two to five.
        rate = _agreed(frequency for frequency in frequencies if frequency is not most[0])
        return structs.replace(rate, low=min(rate.low, most[0].high), high=most[0].high) if rate is not None else None
    rates = [frequency for frequency in frequencies if not frequency.by_clock]
    moments = {frequency.name for frequency in frequencies if frequency.by_clock}
    if "meals" in moments:
        # A frequency beside the meals says how often; without one they are three, and bedtime is one more.
        moments -= {"meals", "morning", "noon", "evening"}
        count = len(moments) + (0.0 if rates else MEALS_A_DAY)
    else:
        count = float(len(moments))
    if rates:
        rate = rates[0]
        # "Three times a day and at bedtime" is four times, "weekly in the morning and evening" not once a week.
        fits = count <= max(rate.high, 1.0) and not (moments == {"bedtime"} and 2.0 <= rate.high <= 3.0)
        return rate if len({(rate.low, rate.high) for rate in rates}) == 1 and fits else None
    if not frequencies:
        return None
    return SigFrequency(count, count, frequencies[0].start, frequencies[-1].end)


def _week_of_doses(times: Sequence[SigFrequency], doses: re.Match[str] | None) -> tuple[SigFrequency, float] | None:
    """ "Every 12 hours x 3 doses once a week" is once a week, three times the amount: how often, and how many."""
    slow, quick = [time for time in times if time.high < 1.0], [time for time in times if time.low >= 1.0]
    if doses is None or len(slow) != 1 or len(quick) != 1:
        return None
    return slow[0], float(doses["count"] or doses["bare"])


def _while_it_runs(text: str, amount: SigAmount, rate: SigFrequency | None) -> SigAmount | None:
    """Return what an infusion of some hours gives in a day; None where it runs all day long."""
    lasts = hours_in(text, is_drip=True) if (amount.unit.span_days or 1.0) < 1.0 else None
    days = (lasts or 24.0) / 24.0 * (max(1.0, rate.high) if rate is not None else 1.0)
    return given_in(days, amount) if days < 1.0 else None


def _is_daily_total(text: str, amount: SigAmount, rate: SigFrequency | None) -> bool:
    of_a_day = amount.unit.kind in ("mg", "activity", "mL") and PER_DAY.match(text, amount.end) is not None
    # "15 mg weekly in 2 doses" is the amount of a week.
    return of_a_day or ((rate is None or rate.high >= 1.0) and _DIVIDED.search(text) is not None)
