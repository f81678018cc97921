"""How often a sig says that a drug is taken, and how sigs spell numbers, fractions and days."""

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from fhir.mapping.medications.sig_languages import Spellings, has_sign, in_english, respelled
from fhir.terminology.caching import remembered
from fhir.terminology.dosing import TIMES_PER_DAY, days_per_unit
from fhir.terminology.medication_strength import with_short_units

NUMBER = r"(?:\d+(?:\.\d+)?|\.\d+)"
# A bare "NG" is a tube and "L eye" a side: nobody orders nanograms that are no rate.
UNIT = (
    r"milligrams?|micrograms?|nanograms?|grams?|mcg|mg|ng(?= ?/)|µg|ug|gm|g|mls?|milliliters?|lit(?:er|re)s?"
    r"|l(?! (?:eye|ear|nostril|nar[ei]s|knee|side))|cc"
    r"|drops?|gtts?|tsp|teaspoon(?:ful)?s?|tbsp|tablespoon(?:ful)?s?"
    r"|tablets?(?:\(s\))?|tabs?(?:\(s\))?|tbl|capsules?(?:\(s\))?|caps?(?:\(s\))?|pills?|caplets?|gelcaps?|softgels?"
    r"|suppository|suppositories|supp|films?|strips?|packets?|sachets?|vials?|ampules?|syringes?|lozenges?|patch(?:es)?"
    r"|puffs?|pumps?|actuations?|inhalations?|sprays?|nebs?|(?:milli)?units?|mu(?= ?/)|iu|u(?![-/])|meq|mmol"
    r"|each(?! (?:day|morning|noon|evening|night|bed ?time|week|month|hour|hr|meal|time|other|second|third|\d\d? ?h))"
)
_ONE_TO_TEN = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_WORDS = {word: str(number) for number, word in enumerate(_ONE_TO_TEN, 1)}
_WORDS |= {f"{word} hundred": f"{number}00" for word, number in _WORDS.items()}
_WORDS |= {"twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50"}
_WORDS |= dict.fromkeys(("one-half", "one half", "half a", "half"), "0.5")
_IN_WORDS = re.compile(r"\b(?:" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")\b")
# "Take 1 0.5 mg tablet" is one tablet, and no one and a half.
_AND_A_HALF = re.compile(r"(?<![\d.])(\d+)(?: and a half| and a 0\.5| and 0\.5|-0\.5| 0\.5(?! ?(?:m?c?g|ml)\b)|½)")
# "1 tablet and a half".
_UNIT_AND_A_HALF = re.compile(rf"(?<![\d.])(\d+) ({UNIT}) (?:and|&) (?:a )?0\.5\b(?! ?(?:{UNIT})\b)")
# "1,5 mg" and "0,125 mg", as most of Europe writes.
_DECIMAL_COMMA = re.compile(rf"(?<=\d),(?=\d{{1,2}} ?(?:{UNIT})\b)")
_DOTTED = re.compile(r"\b([a-z])\.\s?([a-z])\.\s?(?:([a-z])\.\s?)?(?:([a-z])\.)?")
_A_TABLET = re.compile(r"\b(?:an?) (?=(?:" + UNIT + r")\b)|(?<=\bchange )(?=patch\b)|(?<=\bapply )(?=patch\b)")
_BEGINS = r"(?:^|(?<=[:.] )|(?<=take )|(?<=takes )|(?<=give )|(?<=start )|(?<=begin )|(?<=resume )|(?<=tinue ))"
# "1 po bid": what is taken by mouth and has no unit is counted.
_UNITLESS = re.compile(rf"{_BEGINS}({NUMBER}(?: ?(?:-|to|or) ?{NUMBER})?)(?= (?:po|by mouth|orally)\b)")
# "1 bid", "1-2 q6h prn": a small number before how often is a count of tablets; a larger one could be of milligrams.
_COUNT_BEFORE_OFTEN = re.compile(
    rf"{_BEGINS}((?:0\.5|1|1\.5|2)(?: ?(?:-|to|or) ?[12])?)"
    r"(?= (?:q ?\d|(?:q?[bt]id|qid|qd|qday|q?hs|q[ap]m|daily|nightly|once|twice)\b|\d times|(?:a|per) day\b"
    r"|(?:every|each) (?:\d|day|morning|evening|night|bed)|at (?:bed|night)))"
)
# Not from within a number: a search from each digit of a long one grows with the square of its length.
AMOUNT = re.compile(rf"(?<![\d.]){NUMBER} ?(?:{UNIT})\b")
_MILLIONS = re.compile(rf"(?<![\d.])({NUMBER}) ?(?:million|mill) ?(?=units?|iu\b)")
_DAY = r"(?:mon|tues?|wed|thu(?:rs?)?|fri|sat|sun)(?:days?|nesdays?|urdays?)?"
# "M/W/F", "Tu/Th/Sat/Sun"; two letters alone may mean something else ("w/f" is with food).
_LISTED_DAY = r"(?:m(?:on)?|t(?:u(?:es?)?|h(?:u(?:rs?)?)?)?|w(?:ed)?|f(?:ri)?|s(?:at?|un?)?)"
_LISTED_DAYS = re.compile(rf"(?<![\w/-]){_LISTED_DAY}(?:(?: ?[/&,] ?|-| and ){_LISTED_DAY}){{1,6}}(?![\w/-])")
_NOT_A_LETTER = re.compile(r"[^a-z]{1,3}")
# "At 8am and 8pm", "at 0800, 1400 and 2000": so many times a day.
_AM_PM = r"(?:1[0-2]|0?\d)(?::[0-5]\d)? ?[ap]m"
_CLOCK_HOUR = rf"(?:{_AM_PM}|(?:[01]?\d|2[0-3]):[0-5]\d|(?:[01]\d|2[0-3])00)"
_CLOCK_HOURS = re.compile(
    rf"(?:\bat |@ ?){_CLOCK_HOUR}(?:(?:,|,? and| &|/) ?{_CLOCK_HOUR}){{1,7}}\b"
    rf"|\b{_AM_PM}(?:(?:,|,? and| &|/) ?{_AM_PM}){{1,7}}\b"
)
_A_CLOCK_HOUR = re.compile(_CLOCK_HOUR)


DAYS_OF_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_LETTERS = {text: day for day in DAYS_OF_WEEK for text in (day[:1], day[:2])} | {"t": "tue", "s": "sat"}


def _spelled_days(match: re.Match[str]) -> str:
    days = _NOT_A_LETTER.split(match.group().replace(" and ", " "))
    is_list = len(days) > 2 or (max(map(len, days)) > 1 and "-" not in match.group())
    return " ".join(_DAY_LETTERS.get(day, day) for day in days) if is_list else match.group()


def _decimal(match: re.Match[str]) -> str:
    value = int(match[1] or 0) + int(match[2]) / int(match[3])
    return f"{value:g}"


_NUMBERS: Spellings = (
    ((",",), re.compile(r"(?<=[1-9]),(?=\d{3}(?!\d))|(?<=\d0),(?=\d{3}(?!\d))"), ""),
    (("squ", "sq ", "m2", "m²"), re.compile(r" ?(?:/|\bper) ?(?:sq(?:uare|\.)? ?met\w+|sq\.? ?m|m[2²])(?!\w)"), "/m2"),
    ((",",), _DECIMAL_COMMA, "."),
    ((".",), _DOTTED, lambda match: "".join(part or "" for part in match.groups()) + " "),
    (("",), _IN_WORDS, lambda match: _WORDS[match.group()]),
    (("/",), re.compile(r"(?<![\d.])(?:(\d+) )?(\d)/([2348])(?![\d/])"), _decimal),
    (("half", "0.5", "½"), _AND_A_HALF, lambda match: f"{match[1]}.5"),
    (("½",), re.compile("½"), "0.5"),
    (("¼",), re.compile("¼"), "0.25"),
    (("0.5",), _UNIT_AND_A_HALF, r"\1.5 \2"),
    (("mill",), _MILLIONS, lambda match: f"{float(match[1]) * 1_000_000:.0f} "),
    # Phenytoin equivalents, in which fosphenytoin is ordered.
    (("pe",), re.compile(r"\b(mg) ?pe\b"), r"\1"),
)
# "TIDAC", "qACHS", "q6": how hospitals write "three times a day before meals", "before meals and at bedtime", "q6h".
_EACH = ("every", "each")
_OFTEN: Spellings = (
    (("hour", "hr"), re.compile(r"\b(?:every|each) (?:hour|hr)\b"), "every 1 hour"),
    (("/", "&", ",", "-", " and "), _LISTED_DAYS, _spelled_days),
    (("at ", "@", "am", "pm"), _CLOCK_HOURS, lambda match: f"{len(_A_CLOCK_HOUR.findall(match.group()))} times daily"),
    (("idac", "idpc", "idwm", "idwc"), re.compile(r"\b([bt]id|qid)(?:ac|pc|wm|wc)\b"), r"\1"),
    (("hs",), re.compile(r"\b(?:q ?)?ac ?/?&? ?hs\b"), "ac and hs"),
    (("ac", "pc"), re.compile(r"\bq ?([ap]c)\b"), r"\1"),
    (("q",), re.compile(r"\bq ?((?:4|6|8)-)?(4|6|8|12|24)(?= (?:prn|po|iv|as needed)\b|$)"), r"q\1\2h"),
    (("mwf",), re.compile(r"\bmwf\b"), "mon wed fri"),
    (("tth", "tts"), re.compile(r"\btt[hs]s?\b"), "tue thu sat"),
    (("once or",), re.compile(r"\bonce or twice\b"), "1-2 times"),
    (("x",), re.compile(r"\bx ?(\d)(?= ?(?:/|per|a) ?(?:day|d)\b)"), r"\1 times"),
    (_EACH, re.compile(rf"\b(?:every|each) (?:other|second|2nd|alternate) (?:week|wk|{_DAY})s?\b"), "every 2 weeks"),
    (
        ("fortnight", "alt", "ow"),
        re.compile(r"\b(?:every fortnight|fortnightly|(?:on )?alternate weeks|[eq]ow)\b"),
        "every 2 weeks",
    ),
    (_EACH, re.compile(r"\b(?:every|each) (?:third|3rd) (week|month)\b"), r"every 3 \1s"),
    (_EACH, re.compile(r"\b(?:every|each) (?:other|second|2nd) (month|hour)\b"), r"every 2 \1s"),
    (("week",), re.compile(rf"\b(every \d{{1,2}} weeks?),? on (?:a )?{_DAY}\b"), r"\1"),
    (("(",), re.compile(r"\b(\d+) \(\1\)"), r"\1"),
    (("a ", "an ", "patch"), _A_TABLET, "1 "),
    (("t",), re.compile(r"\bt ?([1-9]) ?[tc]\b(?= (?:po|by|q|[bt]id|daily|prn))"), r"\1 each"),
    (("i ",), re.compile(r"\b(i{1,3})(?= (?:tab|cap|po\b|by mouth))"), lambda match: str(len(match[1]))),
    # A warning is no frequency.
    (
        ("not ",),
        re.compile(r"\b(?:do )?not (?:to be )?(?:take[n]? |use[d]? )?(?:it |this )?(?:daily|every day)\b"),
        " ",
    ),
    ((" po", " by mouth", " orally"), _UNITLESS, r"\1 each"),
    # "In the morning 1, in the evening 2": so many of what is taken.
    (
        ("morning", "noon", "evening", "bedtime"),
        re.compile(rf"\b((?:in the (?:morning|evening)|at (?:noon|bedtime))):? ({NUMBER})(?= ?(?:[,;]|and\b|$))"),
        r"\2 each \1",
    ),
)


_EACH_OF = re.compile(
    rf"(?<!\d)(?P<count>{NUMBER}) (?:tab(?:let)?|cap(?:sule)?|pill)s?"
    rf"(?: of (?P<mass>{NUMBER} ?(?:mg|mcg|g)\b)| ?\(?(?P<each>{NUMBER} ?(?:mg|mcg|g)) each\)?)"
)
"""What of each of several tablets is said: "10 tablets (5 mg each)", "2 tabs of 500 mg"."""


A_DOSE = rf"{NUMBER}(?: ?(?:-|to) ?{NUMBER})? ?(?:{UNIT})(?!\w| ?/ ?(?:\d|d?l\b|ml|h))"
"""What may be a dose, and is no laboratory value."""
# What begins a clause of what is measured or of the pharmacy, which ends where a dose is named: "goal 40 mg" is one.
_REMARK = (
    r"(?:(?:hold|skip|omit)(?= (?:if|for|when|the|dose|on|until)\b)|call|notify|(?:re-?)?check|monitor|review|due at"
    r"|follow[ -]?up|(?:goal|target)(?: (?!dose|of|is|total|max)[a-z]\w+| ?[<>])"
    r"|(?:last|next|repeat|draw) (?:an? )?(?:inr|labs?|level|trough|refill|tsh)"
    r"|(?:trough|level|crcl|e?gfr|scr|creatinine|inr|a1c|tsh|weight|wt)(?: of| is)?[:=]? ?[<>]? ?\d+"
    r"|(?:max\w* )?(?:\d+|no) refills?|refills?|(?:disp\w*|qty|quantity)(?![:.]? ?#?\d))\b"
)
_OF_BEFORE = r"(?:was|previously|replac(?:es|ing)|last (?:dose|filled|given)|(?<!^)foli\w+(?: acid)?)\b"
_TO_END = (
    r"(?:[^.,;()\[\]]|(?<=\d)[.,](?=\d))*?(?:, ?\d+ (?:days?|weeks?)(?=[.;)]|$)"
    r"|(?=[;)\]]|[.,](?!\d)|$| - | (?:then|now|take|give|increas\w*)\b"
)
_NO_DOSE = re.compile(
    # What a tablet is swallowed with, and what was written out.
    r" ?\b(?:with|mit|avec|con|com) (?:(?:at least|about|a full glass|of|\() ?)*\d[\d-]* ?ml\)?"
    r"(?: (?:of|de|d'))?(?: plain)? ?(?:water|juice|milk|wasser|eau|agua|água|acqua)\b"
    r"|(?:\b(?:disp(?:ense)?|qty|quantity)[:.]?(?: a total of)? ?#?|#) ?\d+(?: (?:tab|cap)\w*)?"
    rf"|[(\[](?:{_OF_BEFORE}|(?:dose |this is )?(?:(?:reduc|increas|decreas|lower|rais)ed|changed)\b)[^()\[\]]*[)\]]"
    rf"|(?:^|[.,;] ?| - ?){_OF_BEFORE}{_TO_END}))"
    rf"|(?:^|[.,;(\[] ?| - ?| (?=(?:hold|skip|omit) )){_REMARK}{_TO_END}| {A_DOSE}))"
)
_FOLLOWS = re.compile(r"^(?:and )?then[, ]+")
_PIECE = r"(?P<piece>(?:tablets?|tabs?|capsules?|caps?|pills?|patch(?:es)?|films?|supp\w*|sachets?|packets?|vials?)\b)"
_SUPPLY = re.compile(
    r"(?:(?<=[\w)])[,;.] ?(?:(?:a )?total(?: of)? |qty )?(?=[4-9]|\d\d)|(?P<counted> ?[(\[]| (?:x|for) ?)(?=\d\d))"
    rf"(?P<count>\d{{1,4}}) ?(?:{_PIECE}|(?P<volume>ml))\.?[)\]]?\.?$"
)
_DAY_OR_HOUR = re.compile(r"\b(?:days? \d|now|later)\b")
_DOSE = re.compile(
    rf"(?P<limit>(?:[<>≤≥=]|\b(?:max\w*\.?|exceed\w*|than|over|under|above|below))(?: of)?:? ?)?(?<![\d.])"
    rf"(?P<count>{NUMBER}) ?(?:{_PIECE}|(?P<volume>m?l|cc|t(?:b|ea|able)?sp\w*)\b|(?:{UNIT})\b)(?! ?/ ?d?l)"
)


def _without_supply(text: str) -> str:
    """Leave out what is dispensed, where it stands behind a sig with a dose: "1 capsule TID x 7 days, 21 capsules"."""
    supply = _SUPPLY.search(text)
    if supply is None:
        return text
    sig = _COUNT_BEFORE_OFTEN.sub(r"\1 each", text[: supply.start()])
    doses = [
        dose for dose in _DOSE.finditer(sig) if not dose["limit"] and (not dose["volume"]) is (not supply["volume"])
    ]
    counts = [float(dose["count"]) for dose in doses if dose["piece"] or dose["volume"]]
    times = find_frequencies(sig)
    # "15 mg weekly (12 tablets)" may be what one dose is, and "daily 1 tablet (10 tablets)", too.
    is_often = bool(times) and all(time.low >= 1.0 for time in times)
    is_apart = not supply["counted"] or (doses[-1].end() < len(sig) if counts else is_often)
    is_whole = times or named_days(sig) != frozenset() or 1 < len(doses) <= len(_DAY_OR_HOUR.findall(sig))
    is_supply = doses and is_apart and is_whole and float(supply["count"]) > max(counts, default=0.0)
    return text[: supply.start()] if is_supply else text


# Three readings of a sig begin with it: 20 µs for a usual sig, 70 to 110 for 390 characters (time.process_time).
@remembered("sigs in plain words", entries=2048, longest=200)
def normalise_sig(words: str) -> str:
    """Return the words in lower case with numbers as digits.

    >>> normalise_sig("Take ONE (1) tablet b.i.d.")
    'take 1 tablet bid'
    >>> normalise_sig("1 1/2 tabs"), normalise_sig("1½ tab"), normalise_sig("1,000 mg")
    ('1.5 tabs', '1.5 tab', '1000 mg')
    >>> normalise_sig("10 tablets (5 mg each) nightly"), normalise_sig("2 tabs of 500 mg")
    ('10 x 5 mg nightly', '2 x 500 mg')
    """
    text = words.lower().replace("μ", "µ").replace("–", "-").replace("−", "-").replace("×", " x ")
    text = " ".join(with_short_units(text).split())
    text = " ".join(respelled(in_english(text), _NUMBERS).split())
    text = _EACH_OF.sub(lambda each: f"{each['count']} x {each['mass'] or each['each']}", respelled(text, _OFTEN))
    text = _FOLLOWS.sub("", " ".join(_without_supply(_NO_DOSE.sub("", text)).split()))
    return text if AMOUNT.search(text) else _COUNT_BEFORE_OFTEN.sub(r"\1 each", text)


class SigFrequency(Struct, frozen=True, gc=False):
    """`low` to `high` times per day and where the words say so; `by_clock` is one moment of the day, with its name."""

    low: float
    high: float
    start: int
    end: int
    by_clock: bool = False
    at_most: bool = False
    name: str = ""


_NUMBERED = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
_EVERY = re.compile(
    rf"\b(?:q ?|every ?|each ?)(?P<low>{NUMBER})(?: ?(?:-|to|or) ?(?P<high>{NUMBER}))? ?-?"
    r"(?P<unit>hours?|hrs?|h|days?|d|weeks?|wks?|wk|w|months?|mo)\b"
)
_TIMES = re.compile(
    r"(?P<most>\b(?:up to|max(?:imum)?\.?:?(?: of)?|no(?:t)? more than|not (?:to )?exceed(?:ing)?|limit(?: of)?) )?"
    rf"(?:\b(?P<word>once|twice|thrice)|\b(?P<low>{NUMBER})(?: ?(?:-|to|or) ?(?P<high>{NUMBER}))?"
    r" ?(?:x|times?|(?(most)doses?|(?!))))"
    # "Once day 2", "once 24 hours after chemotherapy" are one dose.
    r"(?! (?:(?:day|week) ?\d{1,2}\b(?! ?(?:-|to|through|thru))|day of"
    r"|24 ?h(?:ours|rs|r)? (?:after|before|prior|post)))"
    r"(?: ?(?:/|per|a|every|each|in a|in|within) ?| )?"
    r"(?P<unit>daily|day|d|weekly|week|wk|monthly|month|24 ?h(?:ours|rs|r)?|nightly)\b"
)
_DAYS_A_WEEK = re.compile(
    rf"(?P<most>)(?P<word>)\b(?P<low>{NUMBER})(?: ?(?:-|to|or) ?(?P<high>{NUMBER}))?"
    r" ?days? ?(?:/|per|a|each|every|in a|out of the) ?(?P<unit>week|wk)\b"
)
_SIMPLE = re.compile(
    r"\b(?:(?P<latin>qday|qod|qds|qid|qd|bid|tid|tds|bd|od)"
    r"|(?P<other>every other day|every 2nd day|every second day|(?:on |every )?alternate days?)"
    r"|(?P<third>every (?:3rd|third) day)"
    r"|(?P<weekly>weekly|every week|each week|q ?week|q ?wk|a week|per week)"
    r"|(?P<thrice>tiw)"
    r"|(?P<monthly>monthly|every month|each month|qmonth)"
    r"|(?P<daily>daily|q day|q daily|every day|each day|per day|a day|/day|q24h|(?:every|per) 24 ?h(?:ours|rs|r)?))\b"
)
_CLOCK = re.compile(
    r"\b(?:(?P<bedtime>qhs|hs|nightly|(?:at |before |every |each )?bed ?time|every night|each night|at night"
    r"|(?:(?<=noon and )|(?<=morning and )|(?<=mornings and ))nights?)"
    r"|(?P<morning>qam|every morning|each morning|in the morning|(?:in the )?am\b|mornings?|with breakfast|breakfast)"
    r"|(?P<noon>at noon|noon|midday|with lunch|lunch|afternoon|in the afternoon)"
    r"|(?P<evening>qpm|every evening|each evening|in the evening|(?:in the )?pm\b|evenings?|with (?:dinner|supper)"
    r"|dinner|supper))\b"
)


# Three times a day, unless another frequency stands beside it: "twice daily with meals" is twice. Of "with meals and
# snacks" and "between meals" nobody says how often.
_AT_MEALS = re.compile(
    r"\b(?P<meals>(?:with|before|after|at|following|per)(?: (?:the|all|each|every))? meals|(?:each|every) meal|ac|pc)\b"
    r"(?! (?:and|&|or) snack| (?:breakfast|lunch|dinner|supper))"
)
MEALS_A_DAY = 3.0


_DAY_RANGE = re.compile(rf"\b(?P<first>{_DAY}) ?(?:-|to|through|thru) ?(?P<last>{_DAY})\b")
_DAY_NAME = re.compile(rf"\b{_DAY}\b")
_WEEK_PARTS = re.compile(r"\b(?:week ?days?|weekends?)\b")
_LEFT_OUT = re.compile(r"\b(?:except|other days?|all other|rest of the week|but not|skip\w*|not on)\b")


def named_days(text: str) -> frozenset[str] | None:
    """Return the days of the week the words name, as "mon"; empty when none, None when some are left out or differ."""
    texts: set[str] = set()
    for match in _DAY_RANGE.finditer(text):
        first, last = DAYS_OF_WEEK.index(match["first"][:3]), DAYS_OF_WEEK.index(match["last"][:3])
        texts.update(DAYS_OF_WEEK[index % 7] for index in range(first, last + (7 if last < first else 0) + 1))
    texts.update(match.group()[:3] for match in _DAY_NAME.finditer(text))
    for match in _WEEK_PARTS.finditer(text):
        texts.update(DAYS_OF_WEEK[5:] if match.group().startswith("weekend") else DAYS_OF_WEEK[:5])
    if not texts:
        return frozenset()
    return None if _LEFT_OUT.search(text) else frozenset(texts)


def without_days(text: str) -> str:
    """Return the words without the names of days."""
    return _WEEK_PARTS.sub(" ", _DAY_NAME.sub(" ", _DAY_RANGE.sub(" ", text)))


def find_frequencies(text: str) -> Sequence[SigFrequency]:
    """Every statement of how often, from left to right; what a longer phrase has used is not read again."""
    frequencies: list[SigFrequency] = []
    used = bytearray(len(text))
    for signs, pattern, reading in _READINGS:
        for match in pattern.finditer(text) if has_sign(text, signs) else ():
            start, end = match.span()
            times = None if any(used[start:end]) else reading(match)
            if times is not None:
                used[start:end] = b"\x01" * (end - start)
                frequencies.append(times)
    return sorted(frequencies, key=lambda frequency: frequency.start)


def _every(match: re.Match[str]) -> SigFrequency | None:
    unit = days_per_unit("wk" if match["unit"] == "w" else match["unit"])
    shortest = float(match["low"])
    longest = float(match["high"]) if match["high"] else shortest
    if unit is None or not shortest or not longest:
        return None
    return SigFrequency(
        1 / (max(shortest, longest) * unit), 1 / (min(shortest, longest) * unit), match.start(), match.end()
    )


def _times(match: re.Match[str]) -> SigFrequency | None:
    unit = match["unit"]
    days = 7.0 if unit in ("weekly", "week", "wk") else 30.4375 if unit in ("monthly", "month") else 1.0
    low = _NUMBERED.get(match["word"]) or float(match["low"])
    high = float(match["high"]) if match["high"] else low
    if not low:
        return None
    return SigFrequency(low / days, high / days, match.start(), match.end(), at_most=bool(match["most"]))


def _simple(match: re.Match[str]) -> SigFrequency | None:
    kind = match.lastgroup
    per_day = {
        "other": 0.5,
        "third": 1 / 3.0,
        "weekly": 1 / 7.0,
        "thrice": 3 / 7.0,
        "monthly": 1 / 30.4375,
        "daily": 1.0,
    }.get(kind or "")
    if per_day is None:
        per_day = TIMES_PER_DAY[match["latin"].upper()]
    return SigFrequency(per_day, per_day, match.start(), match.end())


def _clock(match: re.Match[str]) -> SigFrequency:
    times = MEALS_A_DAY if match.lastgroup == "meals" else 1.0
    return SigFrequency(times, times, match.start(), match.end(), by_clock=True, name=match.lastgroup or "")


MOMENT_SIGNS = (
    "hs", "night", "bed", "am", "pm", "morning", "breakfast", "noon", "lunch", "evening", "dinner", "supper",
)  # fmt: skip
"""One of these is in every text that names a moment of the day."""
_SIMPLE_SIGNS = ("day", "daily", "id", "q", "od", "bd", "tds", "tiw", "week", "wk", "month", "24")
_READINGS: tuple[tuple[tuple[str, ...], re.Pattern[str], Callable[[re.Match[str]], SigFrequency | None]], ...] = (
    (("every", "q", "each"), _EVERY, _every),
    (("once", "twice", "thrice", "time", "x", "dose"), _TIMES, _times),
    (("week", "wk"), _DAYS_A_WEEK, _times),
    (_SIMPLE_SIGNS, _SIMPLE, _simple),
    (MOMENT_SIGNS, _CLOCK, _clock),
    (("meal", "ac", "pc"), _AT_MEALS, _clock),
)
