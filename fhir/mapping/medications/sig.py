"""Reads a sig, the words of a prescription: "2 tabs po q6h prn", "500 mg twice daily x 14 days".

A dose that is not known has a `DoseProblem`: a reason for programs and a sentence for a person.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias, TypeVar

from msgspec import Struct, structs

from fhir.mapping.medications.sig_frequency import (
    A_DOSE,
    MEALS_A_DAY,
    MOMENT_SIGNS,
    NUMBER,
    UNIT,
    SigFrequency,
    find_frequencies,
    named_days,
    normalise_sig,
    without_days,
)
from fhir.mapping.medications.sig_languages import has_sign
from fhir.record.text_budget import REMEMBERED
from fhir.terminology.caching import remembered
from fhir.terminology.dosing import DoseUnit, days_per_unit, dose_unit

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

_AMOUNT = re.compile(
    # "two 500 mg tablets", "1 x 500 mg"; else "500 mg", "1-2 tablets", "0.5 to 1 tab"
    rf"(?<![\w./#])(?:(?P<count>{NUMBER}) (?:x )?(?={NUMBER} ?(?:mg|mcg|g|ug|µg)\b))?"
    rf"(?P<low>{NUMBER})(?: ?(?:-|to|or) ?(?P<high>{NUMBER}))? ?(?P<unit>{UNIT})(?![\w])"
    # "15 mg/kg", "30 mg/kg/day", "30 mg per kg per day"
    r"(?P<by_weight> ?(?:/|per) ?kg\b(?:(?: ?/ ?| per )(?P<span>dose|day|d|24 ?h(?:ours|rs|r)?"
    r"|h(?:(?:ou)?r)?|min(?:ute)?)\b)?)?"
    # What a patch gives off and how fast an infusion runs: "25 mcg/hr", "1 mg/min".
    r"(?P<rate>(?: ?/ ?| per )(?:h(?:(?:ou)?r)?|min(?:ute)?)\b)?"
    r"(?! ?/ ?(?:\d|d?l\b|ml|m2))"
)
_MAXIMUM = re.compile(
    rf"(?:max(?:imum)?\.?(?: (?:of|dose|daily|amount))*|not (?:to )?exceed(?:ing)?|not? more than|nte|mdd|limit)[: ]*"
    rf"(?P<high>{NUMBER})(?! ?(?:x|times?|doses?)\b) ?(?P<unit>{UNIT})?"
    r"(?: (?:of )?(?:acetaminophen|apap|tylenol))?"
    r"(?: ?(?:/|per|in|a|every|each|within)? ?(?:1 )?(?:24 ?h(?:ours|rs|r)?|d|day|daily)\b)?"
)
# What is for each kilogram or square metre of a patient, and the most of it: "(max 1 g/dose, 4 g/day)", "up to 2 mg".
_BY_SIZE = re.compile(r"(?:/|per) ?(?:kg|m(?:2|²|\^2))(?!\w)(?P<of_day> ?(?:/|per) ?(?:day|d|24 ?h)\b)?")
_OF_WHAT = (
    r"(?: ?(?:/|per|in|a|every|each|within|at)? ?(?:an? |one |1 )?(?:single )?(?:(?:24 ?h(?:ours|rs|r)?|d|day|daily)"
    r"|(?:dose|time|administration))\b)?"
)
_MOST = (
    rf"{NUMBER} ?(?:{UNIT})(?!\w)(?: ?(?:/|per) ?kg\b)?{_OF_WHAT}"
    r"(?! ?(?:/|per|an?|every) ?(?:kg|h(?:(?:ou)?r)?|min\w*|w(?:ee)?k|month|m2|m²|m\^2)(?!\w))"
)
_CAP = re.compile(
    r"\(?(?P<lead>\bup to|(?<!\d )\bcap(?:ped)?(?: (?:at|to|of))?|\bnot (?:to )?exceed(?:ing)?|\bnot? more than|\bnte"
    r"|\b(?:max(?:im\w*)?\.?|mdd|limit(?:ed)?)(?: (?:of|to|at|is|single|dose|daily|amount))*)[: ]*"
    rf"(?P<limits>{_MOST}(?:(?:,|;| or| and) ?(?:max\w*\.? )?{_MOST}){{0,2}})\)?"
)
_ONE_MOST = re.compile(
    rf"(?P<count>{NUMBER}) ?(?P<unit>{UNIT})(?P<by_weight> ?(?:/|per) ?kg\b)?(?P<of_what>{_OF_WHAT})"
)
_OF_ONE_DOSE = re.compile(r"\b(?:dose|time|administration)\b")
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
_MAXIMUM_SIGNS = ("max", "exceed", "more than", "nte", "mdd", "limit")
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
# A limit of one dose, of an hour or of a week is none of a day.
_OTHER_THAN_A_DAY = re.compile(
    r" ?(?:/|per|in|at|a|every|each|within)? ?(?:(?:an?|1|the) )?(?:dose|time|administration|h(?:(?:ou)?r)?|min(?:ute)?"
    r"|w(?:ee)?k|month|\d+ ?(?:h(?:(?:ou)?rs?)?|min(?:ute)?s?|days?|w(?:ee)?ks?))\b"
)
_ON_BOTH_SIDES = re.compile(r" ?(?:(?:in|into|to|per|via)? ?(?:each|both)|per) (?:nostrils?|nares|naris|eyes?|ears?)\b")
# Over how long a dose runs; "for" and "x" say when a drip ends.
_OVER = re.compile(
    r"\b(?:(?P<drip>for|x|für|per)|over|during|in|über|ueber|sur|en|durante) (?:the (?:first|next) )?"
    r"(?P<count>\d{1,3}(?:\.\d{1,2})?)(?: ?(?:-|to) ?(?P<most>\d{1,3}(?:\.\d{1,2})?))? ?-?"
    r"(?P<unit>s(?:ec\w*|ek\w*)?\b|h(?:ou|eu|o)?r?|std|stunde|or[ae]\b|min)"
)
_IN_HOURS = {"s": 1 / 3600.0, "se": 1 / 3600.0, "mi": 1 / 60.0}
# "x 4 doses", "twice daily, 14 doses"; "q2h x 2" are two doses too, "BID x 3" may be three days.
_DOSES = re.compile(
    r"(?:(?:\bx|\bfor|×) ?(?:a total of )?|, ?(?=\d\d? doses ?(?:[.;)]|$)))(?P<count>\d{1,2}) (?:more )?doses\b"
    r"|\d ?h x ?(?P<bare>\d)(?![\d.]| ?(?:d|days?|w|wks?|weeks?|mo|months?|h|min|mg)\b)"
)
_HOURLY = re.compile(r"\d ?-?h(?:(?:ou)?r)? $")
# "1 tablet in the morning, 1 at noon and 2 at bedtime": a count of what was named before.
_COUNTED_ON = re.compile(
    rf"(?P<joined>(?:\band|[,;&+]|\bplus) ?)?(?<![\w./-])(?<!at )(?P<count>{NUMBER}) (?=(?:nightly|qhs|qam|qpm|hs"
    r"|(?:at|in|every|each|before|with) (?:the )?(?:bed ?time|night|morning|noon|midday|breakfast|lunch|dinner|supper"
    r"|evening|afternoon|am|pm))\b)"
)
# "In the morning 1, in the evening 2 tablets": the first number is of tablets, too.
_MOMENT_FIRST = re.compile(
    rf"(?:morning|noon|evening|bed ?time|night|breakfast|lunch|dinner|am|pm):? {NUMBER} ?(?:[,;]|and\b)"
)
_MEALS = re.compile(r"\b(?:meals|(?:each|every) meal)\b")
_HOUR = re.compile(r"\bat \d")
_AS_DIRECTED = re.compile(r"\b(?:(?:as|use) directed|per protocol|ud|asdir)\b")
PER_DAY: Final = re.compile(r" ?(?:/|per|a) ?(?:day|d|24 ?h(?:ours|rs|r)?)\b")
_DIVIDED = re.compile(r"\b(?:divided|in \d+ (?:equal )?doses)\b")
_TOTAL = re.compile(r" ?(?:in )?total\b")
_DAYS_UNCLEAR = DoseProblem("the words name single days of the week")
_DAYS_DIFFER = DoseProblem("the words name days of the week that are left out or differ")
SEVERAL = DoseProblem("the words name several amounts")
CHANGING = DoseProblem("the dose changes over time or is left open")
SPEED = re.compile(r"(?:\bat|\brate(?: of)?|speed|\bthan|\bmax\w*\.?|exceed\w*|\bgive|push|geschwindigkeit):? $")
"""What stands before a rate that says how fast a dose is given."""
DRIP = re.compile(
    r"infus|perfus|\bdrip\b|\bgtt\b|continuous|\bpca\b|\bbag\b|premix|\bin \d+ ?ml\b|driver|\bcsci\b|pumpe"
)
"""What says of an order, in its words or its product's, that it runs and is not injected."""
_MINUTE = 1 / 1440.0
_VERB = re.compile(r"\b(?:take|give|use|apply|inhale|inject|insert|place|chew|swallow|dissolve|sig)\b:?")


class DoseAmount(Struct, frozen=True, gc=False):
    """The amount of one administration, or of a rate: `low` to `high` of a unit."""

    low: float
    high: float
    unit: DoseUnit


class SigAmount(DoseAmount, frozen=True, gc=False):
    """How much at a time; `start` and `end` are where the words say it.

    `milligrams` are what the words say further on that these are: "3 tablets daily (600 mg)". Whether they are depends
    on the product.
    """

    start: int
    end: int
    milligrams: tuple[float, float] | None = None


AnyAmount = TypeVar("AnyAmount", bound=DoseAmount)


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
    text, cap, a_day = _without_caps(normalise_sig(words))
    return _at_most(_read(text, Sig(maximum=a_day, cap=cap)), cap)


def _read(text: str, frame: Sig) -> Sig:
    """Return what words say of a dose, or of one and of what it may be raised to, each with its own times and days."""
    raises = [*_RAISE.finditer(text)] if has_sign(text, _RAISE_SIGNS) else []
    if len(raises) > _MOST_RAISES:
        return structs.replace(frame, problem=CHANGING)
    raise_to = next((match for match in raises if _amounts(text[: match.start()])), None)
    if raise_to is None:
        return _read_step(text, frame)
    start, end = raise_to.span()
    before, behind = text[:start], f"{' ' * end}{text[end:]}"
    moments = [{time.name for time in find_frequencies(part)} for part in (before, behind)]
    if all(names and "" not in names for names in moments) and moments[0] != moments[1]:
        return _read_step(text, frame)  # "300 mg at noon, up to 600 mg at bedtime" are two doses
    first, last = _read_step(before, frame), _read(behind, frame)
    if first.days is not None and not first.single and "up to" not in raise_to.group():
        last = structs.replace(last, problem=CHANGING)
    sig = _raised(first, last, is_of_day=last.total_per_day or (last.times_high == 1.0 and moments[1] == {""}))
    problem = said_instead(text, of_changes=True) if sig.problem == CHANGING else None
    return sig if problem is None else structs.replace(sig, problem=problem)


def _read_step(text: str, frame: Sig) -> Sig:
    cap, maximum = frame.cap, _MAXIMUM.search(text) if has_sign(text, _MAXIMUM_SIGNS) else None
    sentence = text if maximum is None else f"{text[: maximum.start()]} {text[maximum.end() :]}"
    other = _OTHER_THAN_A_DAY.match(text, maximum.end()) if maximum is not None else None
    if maximum is not None and (other or _HOURLY.search(text[: maximum.start()])):
        cap = cap or (_maximum(maximum) if other and _OF_ONE_DOSE.search(other.group()) else None)
        maximum = None
    as_needed = _AS_NEEDED.search(sentence) is not None
    frame = Sig(as_needed=as_needed, days=_days(sentence), maximum=frame.maximum or _maximum(maximum), cap=cap)
    sentence, durations = _DURATION.subn(" ", sentence)
    if durations > 1 and len(_amounts(sentence)) > 1:
        return structs.replace(frame, problem=CHANGING)
    if len(_amounts(sentence)) <= 1:
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
    return sig if sig.maximum is not None or maximum is None else _with_counted_maximum(sig, maximum)


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


def _without_caps(text: str) -> tuple[str, SigAmount | None, SigAmount | None]:
    """Take out of words by weight or surface what one dose and what a day is at most, and return them beside the rest.

    What does not say of which of the two it is the most is that of a dose; behind how often it may be of a day, too.
    """
    size = _BY_SIZE.search(text) if has_sign(text, ("kg", "m2", "m²", "m^2")) else None
    if size is None:
        return text, None, None
    caps = [match for match in _CAP.finditer(text) if not (match["lead"] == "up to" and "kg" in match["limits"])]
    of_dose: list[SigAmount] = []
    of_day: list[SigAmount] = []
    rest = text
    for match in reversed(caps):
        rest = f"{rest[: match.start()]} {rest[match.end() :]}"
        is_behind = any(time.high >= 1.0 for time in find_frequencies(text[: match.start()]))
        for each in _ONE_MOST.finditer(match["limits"]):
            unit = dose_unit(f"{each['unit']}{'/kg' if each['by_weight'] else ''}")
            most = SigAmount(float(each["count"]), float(each["count"]), unit, *match.span()) if unit else None
            is_of_dose = _OF_ONE_DOSE.search(each["of_what"]) is not None
            is_of_day = not is_of_dose and bool(each["of_what"] or "daily" in match["lead"] or size["of_day"])
            if most is not None and not is_of_day:
                of_dose.append(most)
            if most is not None and (is_of_day or (is_behind and not is_of_dose and "kg" in size.group())):
                of_day.append(most)
    return rest, min(of_dose, key=_bounds, default=None), min(of_day, key=_bounds, default=None)


def _at_most(sig: Sig, cap: SigAmount | None) -> Sig:
    """Return "15 mg/kg (1425 mg, max 1 g)" as 1 g; what is still for each kilogram is weighed first."""
    amount = sig.amount
    if amount is None or cap is None or amount.unit.kind != cap.unit.kind or sig.total_per_day:
        return sig
    if amount.unit.by_weight or cap.unit.by_weight or amount.unit.span_days is not None:
        return sig
    most = cap.high * cap.unit.factor / amount.unit.factor
    return structs.replace(sig, amount=structs.replace(amount, low=min(amount.low, most), high=min(amount.high, most)))


def _bounds(most: SigAmount) -> tuple[bool, float]:
    return most.unit.by_weight, most.high * most.unit.factor


def _with_counted_maximum(sig: Sig, match: re.Match[str]) -> Sig:
    """ "Max 6 a day" is six of what is taken."""
    if sig.amount is None or sig.amount.unit.kind not in ("unit", "actuation"):
        return sig
    high = float(match["high"])
    return structs.replace(sig, maximum=SigAmount(high, high, sig.amount.unit, match.start(), match.end()))


def _of_parts(text: str, frame: Sig) -> Sig:
    amounts = _counted_on(text, _amounts(text))
    if amounts is None or (amounts and _MOMENT_FIRST.search(text)):
        return structs.replace(frame, problem=SEVERAL)
    times = find_frequencies(_without_amounts(text, amounts))
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


def _without_amounts(text: str, amounts: Iterable[SigAmount]) -> str:
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


def _maximum(match: re.Match[str] | None) -> SigAmount | None:
    if match is None:
        return None
    unit = dose_unit(match["unit"]) if match["unit"] else None
    high = float(match["high"])
    return SigAmount(high, high, unit, match.start(), match.end()) if unit is not None else None


def amounts_in(text: str, start: int = 0) -> list[SigAmount]:
    """Return every amount that plain words name, doses and rates, from left to right."""
    amounts = []
    for match in _AMOUNT.finditer(text, start):
        unit = _unit(match)
        if unit is not None:
            count = float(match["count"]) if match["count"] else 1.0
            count *= 2.0 if _ON_BOTH_SIDES.match(text, match.end()) else 1.0
            low = float(match["low"]) * count
            high = float(match["high"]) * count if match["high"] else low
            amounts.append(SigAmount(min(low, high), max(low, high), unit, match.start(), match.end()))
    return amounts


def _amounts(text: str) -> list[SigAmount]:
    verb = _VERB.search(text)
    amounts = amounts_in(text, verb.end()) if verb is not None else []
    if all(
        map(is_rate, amounts)
    ):  # "4 mL swish and swallow", "10 mg IV, give at 1 mg/min": the dose is before the verb
        amounts = amounts_in(text)
    # "2 g at 100 mL/hr" says how fast, beside how much.
    amounts = [amount for amount in amounts if not _is_speed(text, amount)] or amounts
    return _without_restatement(text, amounts)


def is_rate(amount: DoseAmount) -> bool:
    """Whether it is so much in an hour or a minute."""
    return amount.unit.span_days is not None and amount.unit.span_days < 1.0


def _is_speed(text: str, amount: SigAmount) -> bool:
    is_injected = amount.unit.span_days == _MINUTE and not (DRIP.search(text) or "titrat" in text)
    return is_rate(amount) and (is_injected or SPEED.search(text, 0, amount.start) is not None)


def _counted_on(text: str, amounts: list[SigAmount]) -> list[SigAmount] | None:
    """Return the amounts with the counts that go on from them; None where it is not clear what is counted."""
    counts = list(_COUNTED_ON.finditer(text)) if amounts and has_sign(text, MOMENT_SIGNS) else []
    if not counts:
        return amounts
    unit = amounts[0].unit
    are_before = all(amount.start < counts[0].start() for amount in amounts)
    # "1 (500 mg) … and 2 …": of a mass it is not said whether the number is of milligrams or of tablets.
    if not are_before or unit.kind == "mg" or _HOUR.search(text) or not all(count["joined"] for count in counts):
        return None
    values = [(float(count["count"]), count) for count in counts]
    return amounts + [
        SigAmount(value, value, unit, match.start("count"), match.end("count")) for value, match in values
    ]


def _unit(match: re.Match[str]) -> DoseUnit | None:
    if match["by_weight"]:
        span = match["span"] or "dose"
        span = "min" if span.startswith("min") else "h" if span.startswith("h") else "dose" if span == "dose" else "day"
        return dose_unit(f"{match['unit']}/kg/{span}")
    if match["rate"]:
        return dose_unit(f"{match['unit']}/{'min' if 'min' in match['rate'] else 'h'}")
    return dose_unit(match["unit"])


def _without_restatement(text: str, sig_amounts: list[SigAmount]) -> list[SigAmount]:
    """Drop a mass in brackets or right after a count: "1 tablet (500 mg)", "1 tab 500 mg", "500 mg (1 tab)"."""
    kept: list[SigAmount] = []
    pairs = len(sig_amounts) > 2
    for amount in sig_amounts:
        repeated = _said_once(text, kept[-1], amount, of_several=pairs) if kept else None
        if repeated is None:
            kept.append(amount)
        else:
            kept[-1] = repeated
    return kept


_THEN_IN_BRACKETS = re.compile(r"[a-z][a-z0-9 ]*\((?:= ?)?")
_CLOSED = re.compile(r"(?: total)?\)")


def _said_once(text: str, first: SigAmount, second: SigAmount, *, of_several: bool) -> SigAmount | None:
    """Return the one amount that two of them say; None where they are two."""
    between = text[first.end : second.start].strip()
    kinds = {first.unit.kind, second.unit.kind}
    is_beside = between in ("(", "=")
    counted, mass = (first, second) if second.unit.kind == "mg" else (second, first)
    if first.unit.by_weight != second.unit.by_weight and len(kinds) == 1 and (is_beside or between == "(="):
        # "15 mg/kg (1,050 mg)": what this patient is given is said, too.
        chosen = second if first.unit.by_weight else first
    elif kinds == {"mL", "activity"} and is_beside:
        chosen = first if first.unit.kind == "activity" else second
    elif kinds == {"mL", "mg"} and is_beside and first.unit.kind == "mL":
        chosen = second  # A mass after a volume is what is in all of it: "20 mL (200 mg)".
    elif kinds == {"unit", "mg"} and _THEN_IN_BRACKETS.fullmatch(between):
        # "3 tablets daily (600 mg)", "1 tablet daily (20 mg total)", "600 mg daily (3 tablets)"
        is_mass = not mass.unit.by_weight and mass.unit.span_days is None
        if first.milligrams is not None or not is_mass or not _CLOSED.match(text, second.end):
            return None
        milligrams = (mass.low * mass.unit.factor, mass.high * mass.unit.factor)
        return structs.replace(first, low=counted.low, high=counted.high, unit=counted.unit, milligrams=milligrams)
    elif between not in ("", "(", "=", ",") or len(kinds) == 1 or mass.unit.kind != "mg":
        return None
    elif mass.unit.span_days is not None and counted.unit.kind in ("patch", "unit"):
        chosen = counted
    elif _TOTAL.match(text, mass.end):
        chosen = mass
    else:
        # One tablet that holds so much is that much. Of more than one it is not said whether each or all, and among
        # several amounts all are counted alike.
        chosen = mass if counted.high == counted.low == 1.0 and not of_several else counted
    return SigAmount(chosen.low, chosen.high, chosen.unit, first.start, second.end)


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


def given_in(days: float, rate: AnyAmount) -> AnyAmount:
    """Return what a rate gives in so many days."""
    share = days / (rate.unit.span_days or 1.0)
    unit = structs.replace(rate.unit, span_days=None)
    return structs.replace(rate, low=rate.low * share, high=rate.high * share, unit=unit)


def hours_in(text: str, *, is_drip: bool, times: float | None = None) -> float | None:
    """Return the hours over which a dose runs, or for which a drip does; the longer end of a range."""
    for match in _OVER.finditer(text):
        hours = float(match["most"] or match["count"]) * _IN_HOURS.get(match["unit"][:2], 1.0)
        # "q6h for 24 hours" is a course, "for 1 hour 3 times daily" is not: it ends before the next one.
        is_short = times is not None and hours * times <= 24.0
        if is_drip or is_short or not match["drip"] or match["unit"][:2] in _IN_HOURS:
            return hours or None
    return None


def _is_daily_total(text: str, amount: SigAmount, rate: SigFrequency | None) -> bool:
    of_a_day = amount.unit.kind in ("mg", "activity", "mL") and PER_DAY.match(text, amount.end) is not None
    # "15 mg weekly in 2 doses" is the amount of a week.
    return of_a_day or ((rate is None or rate.high >= 1.0) and _DIVIDED.search(text) is not None)
