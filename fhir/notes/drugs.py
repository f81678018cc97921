"""The drugs that a note names, each with dose and frequency, and whether it is taken, stopped, held or refused."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fhir.notes.layout import Layout
from fhir.terminology.assertions import AssertedText, Assertion
from fhir.terminology.medication_names import names_in_text
from fhir.terminology.package_tables import package_rows


class Drug(Struct, frozen=True):
    """A drug in a note with its place; `dose` and `frequency` are "" where the note has none.

    `status` is active, completed, stopped, held, planned, declined, never, conditional, allergy, other for another
    person's drug, or unconfirmed: only a letter or list of others names it, nothing says that it is taken, or a word
    beside it is unknown here and may say that it is not. `unit_assumed`: the note gives a number
    alone.
    """

    start: int
    end: int
    text: str
    drug: str
    dose: str
    frequency: str
    status: str
    unit_assumed: bool = False
    section: str = ""


_PLAIN_WORDS: Final = frozenset(Path(__file__).with_name("words_beside_drugs.txt").read_text("utf-8").split())
"""What may stand beside a drug that is taken; any other word ("bins", "shelved", "sealed") may say that it is not."""
_LETTERS: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


_SHORT_NAMES: Final = {row["word"]: row["drug"] for row in package_rows("fhir.notes", "drug_words.csv")}
"""What words mean in a note, whatever the tables of medications say; "" for no drug (an electrolyte, an allergen)."""
_WORD: Final = re.compile(r"[a-z][a-z/'-]*[a-z]|[a-z]")
_NAME_TAIL: Final = re.compile(
    r"^(?:[ ]?(?:sodium|hydrochloride|hcl|tartrate|succinate|sulfate|sulphate|phosphate|succ|tart|bitartrate|hbr"
    r"|mononitrate|fumarate|mesylate|gluconate|increased|reduced|citrate|maleate|besylate|bicarb|er|xl|sr|mr|xr|la|cr"
    r"|ec|dr|m/r|tabs?|tablets?|caps?|capsules?|inhaler|patch(?:es)?|cream|drops|po|iv|im|sc|subcut|s/c|pr|sl|oral"
    r"|neb(?:s|uli[sz]ed)?|inh|injection|depot|at|dose|therapy|suspension|solution|ung|pv|top|stat|dt|infusion|course"
    r"|chewable|dispersible|effervescent|soluble|started(?: at)?|(?:dose )?(?:halved|doubled) to|increased to"
    r"|reduced to|decreased to|up to|now|titrated to|\(|@|to|of|was|is on|on|~|="
    r"|:)(?![a-z]))*[ ]*",
    re.IGNORECASE,
)
_DOSE: Final = re.compile(
    r"(?!\d(?:-\d){2,3}(?![\d-]))(?P<dose>(?P<amount>\d+(?:[.,]\d+)?(?:\s?[-/]\s?\d+(?:\.\d+)?){0,2})\s?(?P<unit>mg|mcg"
    r"|micrograms?|micrograms|µg|ug|g|grams?|units?|iu|u|ml|mmol|meq|puffs?|tabs?|tablets?|caps?|drops?|%|milligrams"
    r"|mg/kg|mg/ml|sachets?|miu|k units?)?(?![a-z0-9:]))(?!\s?(?:/52|/7|/12|(?:days?|weeks?|wks?|months?|years?|yrs?"
    r"|hours?|hrs?|(?<!g )x)\b|%|yo\b|th\b|st\b))|(?P<ratio>1:\d+)",
    re.IGNORECASE,
)
_FREQUENCY: Final = re.compile(
    r"(?:(?<![\d-])\d(?:-\d){2,3}(?![\d-])|\b(?:once|twice|three times|four times|1|2|3|4)?[ ]?(?:x|times)?[ ]?(?:od|bd"
    r"|bid|tds|tid|qds|qid|qd|qhs|nocte|mane|on(?=\s*(?:[.,;:)/+]|$|and\b))|daily|nightly|weekly|monthly|fortnightly|qam|qpm"
    r"|q\d{1,2}(?:-\d{1,2})?h(?:rly)?|stat|prn|hs|ac|pc|(?:a|per|/) ?day|(?:a|per|every) ?(?:week|month|morning|night)"
    r"|every (?:\d+ )?(?:hours?|weeks?|months?|other day|day)|alternate days|at night|in the morning|with meals"
    r"|before meals|(?:once|twice)(?: a| per)?[ ](?:daily|weekly|day|week|nightly|yearly|a year)|yearly|annually"
    r"|on (?:mon|tues|wednes|thurs|fri|satur|sun)days"
    r"|every (?:two|three|four|six) (?:hours|weeks|months)|(?:as|when) (?:needed|required))\b\.?)",
    re.IGNORECASE,
)
_UNITS: Final = dict.fromkeys(("u", "iu", "unit"), "units") | dict.fromkeys(
    ("microgram", "micrograms", "ug", "µg"), "mcg"
)
_JOINS: Final = re.compile(
    r"[\s,]*(?:(?:and|or|&|\+|/|,|with|plus|then|iv|po|im|sc|pr|neb|stat)[\s,]*)*$", re.IGNORECASE
)


def _read_cues(side: str, pattern: str) -> Sequence[tuple[str, re.Pattern[str]]]:
    """Read one side's cues of a drug as patterns; the table has regular expressions, the first status goes first."""
    rows = [row for row in package_rows("fhir.notes", "drug_cues.csv") if row["side"] == side]
    return [(row["status"], re.compile(pattern.replace("WORDS", row["words"]), re.IGNORECASE)) for row in rows]


# Between a cue and the drug up to three words may stand: "stop taking his ramipril".
_BEFORE: Final = _read_cues("before", r"(?P<cue>\b(?:WORDS))(?:[\s:]+(?:[\w'()/-]+:?\s+){0,3}|[\s:]*)$")
_AFTER: Final = _read_cues("after", r"^(?! (?:could|might|may|would) be )(?:WORDS)")
_OF_SECTION: Final = {"stopped": "stopped", "held": "held", "allergies": "allergy", "never": "never"}
_SENTENCE_END: Final = re.compile(r"\.(?=[\"'”’]?(?:\s|$))|[;\n]")
_NO_DOSE: Final = re.compile(r"(?:19|20)\d\d$|\d+/(?:52|7|12|24)$|\d+/\d+/\d+$")
_CHANGED_TO: Final = re.compile(
    r"[ ]*(?:(?:increased|reduced|up|down|titrated|changed)?[ ]?from[ ])?\d+(?:\.\d+)?[ ]?(?:mg|mcg|g|units)?(?: (?:od"
    r"|bd|daily))?[ ]?(?:->|>|to|increased to|reduced to)[ ](?=\d)",
    re.IGNORECASE,
)
_DOSE_BEFORE: Final = re.compile(r"(?<![\d.])(\d{1,6}(?:\.\d{1,4})? ?(?:mg|mcg|g|units|ml))(?: of)? $", re.IGNORECASE)
_IN_MICROGRAMS: Final = re.compile(
    r"levothyroxine|estradiol|digoxin|fentanyl|fluticasone|beclometh|budesonide|tiotropium|liothyronine"
)
_MAY_BE_TAKEN: Final = frozenset({"active", "unconfirmed"})
_CORRECTS: Final = frozenset({"stopped", "held", "never"})
_MAY_BE_IF: Final = frozenset({"", "active", "stopped", "held"})


def read_drugs(
    note: str,
    layout: Layout,
    asserted: AssertedText,
    mentions: Sequence[tuple[int, int, str]],
    findings: Sequence[tuple[int, int]] = (),
) -> tuple[Drug, ...]:
    """Read a note's drugs in the order of their places; a later word that stops or holds one stands for all of it.

    `mentions` are the places of its drugs (`drug_mentions`), `findings` those of what it says of the patient's state.
    """
    text = layout.text
    without_findings = _without_indications(text, findings)
    drugs: list[Drug] = []
    previous, carried = 0, ""
    positions = TokenPlaces(asserted)
    for index, (start, end, name) in enumerate(mentions):
        following = mentions[index + 1][0] if index + 1 < len(mentions) else len(text)
        last, dose, frequency, is_assumed = _dose(text, start, end, min(following, end + 90), name)
        section = layout.section_at(start)
        before = _IN_BRACKETS.sub("", _behind_last_end(text[max(previous, start - 120) : start]))
        is_still_taken = _STILL.search(before) is not None and _ON_RECORD.search(text[end : end + 80]) is None
        # a frequency ends with a full stop where the sentence does: what follows is of something else
        behind = "" if text[last - 1] == "." else text[last : max(last, min(following, end + 140))]
        if _CHANGED.search(text, end, last):
            behind = _LATELY.sub("", behind)
        joined = (
            bool(previous)
            and start - previous < 30
            and not (text[previous - 1] == "." and note[start].isupper())
            and _JOINS.fullmatch(_IN_BRACKETS.sub("", text[previous:start])) is not None
        )
        status_before = carried if joined else _status_before(before)
        status = (not is_still_taken and _status_after(behind)) or status_before
        assertion = positions.assertion(start, end)
        is_denied = _NO_ALLERGY.search(before) is not None or (joined and bool(drugs) and drugs[-1].status == "other")
        if is_denied if status == "allergy" else assertion.person != "patient":
            status = "other"
        elif assertion.polarity == "hypothetical" and status in _MAY_BE_IF and not _PREVENTS.search(behind):
            status = "conditional" if _IF.search(before) else status or "planned"
        is_of_both = joined and status in _CORRECTS and _shares(text, previous, start, behind)
        if is_of_both:
            _say_of_list(drugs, text, start, status)
        elif status in ("", "active") and _is_replaced(before, text[last:following]):
            status = "stopped"
        if status in ("", "active", "completed") and not is_still_taken and _is_of_others(text, start):
            status = "unconfirmed"
        if status in ("", "active") and _OF_THE_PAST.search(text[max(0, start - 8) : start]):
            status = "completed"  # "ectopic 2020 (methotrexate)"
        if not status and section in _OF_SECTION and not (section == "allergies" and frequency):
            status = _OF_SECTION[
                section
            ]  # "Allergies: none known. Penicillin V 250 mg bd": what has a frequency is taken
        if status in ("", "active") and not is_still_taken:
            is_said = status == "active" or section == "drugs" or bool(dose or frequency)
            before = _IN_BRACKETS.sub("", _behind_last_end(without_findings[max(previous, start - 120) : start]))
            behind_it = _SENTENCE_END.split(without_findings[last:following], 1)[0] if behind else ""
            if is_said and _is_of_the_last(text[previous:start] if previous else ""):
                before = ""  # "ramipril on hold until Friday, atorvastatin 20 mg": these words are of the drug before
            is_said = is_said or _SAME.match(behind_it) is not None
            is_told = _is_told_to_take(before, behind_it) and (is_said or _PAST.search(before) is None)
            is_said = is_said and _SAYS.search(behind_it) is None
            is_over = _PAST.search(before) is not None
            behind_it = behind_it if is_over else _NOW_TAKEN.sub("", behind_it)
            is_plain = is_said and _is_plain(_OTHERWISE.sub("", before)) and _is_plain(_ONLY.sub("", behind_it))
            # "options: methotrexate 15 mg, adalimumab 40 mg": what is not known of the first is not known of the second
            is_plain = is_plain and not (joined and not status and drugs[-1].status == "unconfirmed")
            status = "active" if is_told or is_plain else "unconfirmed"
        if status == "unconfirmed" and joined and _OF_ALL.search(behind):
            _say_of_list(drugs, text, start, status)
        drugs.append(Drug(start, last, note[start:last], name, dose, frequency, status, is_assumed, section))
        previous, carried = last, status_before
    return _with_later_word(_without_taken_back(text, drugs))


class TokenPlaces:
    """What is said of places of a text, by binary search in its tokens."""

    __slots__ = ("_asserted", "_starts")

    def __init__(self, asserted: AssertedText) -> None:
        self._asserted = asserted
        self._starts = [token.start for token in asserted.tokens]

    def assertion(self, start: int, end: int) -> Assertion:
        """Return what is said of the words between two places."""
        first = max(0, bisect_right(self._starts, start) - 1)
        return self._asserted.assertion(first, max(first, bisect_left(self._starts, end) - 1))


def _shares(text: str, previous: int, start: int, behind: str) -> bool:
    """Whether what is said behind the second of two drugs is of both: "ramipril and furosemide held"."""
    return (
        re.search(r"and|&|\+", text[previous:start]) is not None or re.search(r"\b(?:both|all)\b", behind) is not None
    )


def _say_of_list(drugs: list[Drug], text: str, start: int, status: str) -> None:
    """Give a status to the drugs of the list that ends before a place, back to the first that is not joined."""
    for index in range(len(drugs) - 1, -1, -1):
        if drugs[index].status not in _MAY_BE_TAKEN or not _JOINS.fullmatch(
            _IN_BRACKETS.sub("", text[drugs[index].end : start])
        ):
            return
        drugs[index], start = replace(drugs[index], status=status), drugs[index].start


def _without_indications(text: str, findings: Sequence[tuple[int, int]]) -> str:
    """Return the text, as long, without what a drug is taken for: "for cystitis", "hypothyroidism, on"."""
    parts, position = [], 0
    for start, end in findings:
        is_indication = _FOR.search(text, max(0, start - 20), start) or _ON_DRUG.match(text, end)
        is_titled = _COLON_DRUG.match(text, end) and not _REACTION.search(text, start, end)
        if start >= position and (is_indication or is_titled):
            parts += [text[position:start], " " * (end - start)]
            position = end
    return "".join([*parts, text[position:]])


_FOR: Final = re.compile(r"\bfor (?:an? |the |his |her |their )?$", re.IGNORECASE)
_ON_DRUG: Final = re.compile(
    r"(?:,|,? (?:is |in |well |rate )?(?:controlled|remission|stable|quiet|managed|suppressed|settled))"
    r" (?:is |now |remains |currently )?(?:on|with|takes|taking) ",
    re.IGNORECASE,
)
_COLON_DRUG: Final = re.compile(
    r": (?=[^.;,:]*\b(?:daily|weekly|nightly|every|once|twice|o[dn]|bd|bid|tds|tid|qds|qid|nocte|mane|since|needed)\b)",
    re.IGNORECASE,
)
"""A problem with its drug, "psoriasis: adalimumab every two weeks"."""
_REACTION: Final = re.compile(
    r"allerg|rash|urticaria|hives|itch|angio|anaphyla|swelling|cough|bleed|h(?:a)?emorrhag|bruis|hyperkal|hyponatr|hypogly"
    r"|hypotens|bradyc|syncope|fall|dizz|myalg|myopath|rhabdo|nausea|vomit|diarrh|constip|confus|delir|drows|headache"
    r"|injury|toxic|failure to|neutropeni|leu[ck]openi|thrombocytopeni|hepatitis|pancreatitis|reaction|intoleran",
    re.IGNORECASE,
)
"""What a drug may have caused, "angioedema: ramipril": no reason to take it."""


def _is_of_the_last(between: str) -> bool:
    """Whether the words between two drugs say what became of the first, and end with a comma."""
    is_one_clause = between.endswith(", ") and _SENTENCE_END.search(between) is None
    return is_one_clause and _status_after(between) in _CORRECTS


_SAYS: Final = re.compile(r", (?:says|said|writes|wrote|according to|per) (?:the|his|her|their|dr|gp)\b", re.IGNORECASE)
_ONLY: Final = re.compile(r"^ (?:only|alone)$")
_OTHERWISE: Final = re.compile(r"\botherwise (?=(?:please )?continu)", re.IGNORECASE)
_NOW_TAKEN: Final = re.compile(
    r"^,? (?:since then|until (?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|(?:is )?taken (?:daily|regularly|reliably|every \w+|as (?:prescribed|directed)))\b",
    re.IGNORECASE,
)
"""What stands behind a drug that is taken now; of one that was taken it says when that ended."""
_SAME: Final = re.compile(r"[^.;]{0,30}?\b(?:as before|as usual|same dose|dose unchanged)$", re.IGNORECASE)
_PAST: Final = re.compile(r"\b(?:was|were|been|had)\b", re.IGNORECASE)


def _is_plain(words: str) -> bool:
    """Whether each word is one that stands beside drugs that are taken, and none says that this is long ago."""
    return all(word in _PLAIN_WORDS for word in _LETTERS.findall(words.lower())) and not _LONG_AGO.search(words)


_LONG_AGO: Final = re.compile(r"^ (?:was|were) (?!start|commenc|begun|initiat|add|increas)[^.;]*\b(?:19|20)\d\d\b")
_OF_ALL: Final = re.compile(
    r"^[^.;]*\b(?:together|both|all|at once|at the same time|would|should|could)\b", re.IGNORECASE
)


def _is_told_to_take(before: str, behind: str) -> bool:
    """Whether the words right before a drug say that it is taken now, and what else is said is of something else.

    Of something else is a clause before that ends with a comma, and one behind that begins with and or since; neither
    may have a word that could take it back, or mean the drug ("and spits it out").
    """
    clause = _CLAUSE.split(before)[-1]
    other = _OTHER_MATTER.search(behind)
    if _TAKES.search(clause) is None or not (_is_plain(clause) and _is_plain(_OTHER_MATTER.sub("", behind))):
        return False
    return _TAKES_BACK.search(f"{before.removesuffix(clause)} ; {other[0] if other else ''}") is None


_TAKES: Final = re.compile(
    r"\b(?:takes|taking|uses|using|injects|receives|receiving|increased|(?:is|are|remains?|stays?|continues?|continued"
    r"|maintained|managed|controlled|stable|established|now|currently|still|been|free|clear|well|undetectable"
    r"|suppressed) (?:on|with)"
    r"|(?:re)?started (?:him |her |them )?on)"
    r"(?: (?:his|her|their|the|usual|regular|daily|weekly|oral|topical|vaginal|inhaled|depot))* $",
    re.IGNORECASE,
)
_CLAUSE: Final = re.compile(r"[,:] +|\b(?:and|so) ")
_OTHER_MATTER: Final = re.compile(
    r",? (?:and .*|since [^,;]*|(?:with )?no (?:bleeding|problems|side[- ]effects)\b)$", re.DOTALL
)
_TAKES_BACK: Final = re.compile(
    r"n't\b|\b(?:but|though|although|however|except|unless|until|till|whenever|despite|yet|only|instead|apart|rather|not"
    r"|nor|never|none|nothing|nobody|cannot|if|or|which|that|who|then|it|its|them|these|those|both|was|were|did|used"
    r"|this(?! (?:year|month|week|morning))"
    r"|stop\w*|ceas\w*|quit\w*|off|out|away|held|hold\w*|skip\w*|bin\w*|refus\w*|declin\w*|forg\w*|wean\w*|taper\w*"
    r"|finish\w*|complet\w*|end\w*|paus\w*|switch\w*|swap\w*|replac\w*|previous\w*|former\w*|suppos\w*|alleg\w*"
    r"|claim\w*|suggest\w*|accord\w*|per|list\w*|letter|paper|theory|records?|computer|system|chart|pharmacy|wrong\w*"
    r"|error|doubt\w*|intend\w*|plan\w*|consider\w*|react\w*|rash|sick|wife|husband|mother|father|brother|sister|son"
    r"|daughter|partner|friend|himself|herself)\b",
    re.IGNORECASE,
)


def _is_replaced(before: str, behind: str) -> bool:
    """Whether the next drug takes the place of this one: "changed: warfarin to apixaban", "warfarin -> apixaban"."""
    is_changed = _CHANGES.search(before) is not None and _TO_NEXT.fullmatch(behind) is not None
    return is_changed or _ARROW.fullmatch(behind) is not None


_CHANGES: Final = re.compile(
    r"\b(?:chang|switch|swap|convert|rotat|substitut)\w*[: ]+(?:from |her |his |the )?$", re.IGNORECASE
)
_ARROW: Final = re.compile(r" ?(?:[-=]+>|→) ?")
_TO_NEXT: Final = re.compile(r" ?(?:->|>|(?:over )?to|for|with|by) ", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(r"\([^()]*\) ?")
_STILL: Final = re.compile(r"\bstill (?:taking|takes|on|using)(?: [\w']+){0,2} $", re.IGNORECASE)
_ON_RECORD: Final = re.compile(r"^[^.;]*\b(?:as far as|according to|system|computer|paper)\b", re.IGNORECASE)
_PREVENTS: Final = re.compile(r"^[^.;]{0,40}\b(?:ppx|proph(?:ylaxis)?|prevention)\b", re.IGNORECASE)
# "Iron deficiency", "insulin resistance", "serum iron studies", "bicarb 18", "vitamin D 18 ng/mL"
_NO_DRUG: Final = re.compile(
    r" (?:def\b|deficien|studies|overload|saturation|resistan|dependent|store)|(?<=bicarb) \d\d\b(?! ?(?:m?g|meq"
    r"|m?mol))| (?:level |of |is |was )*[\d.]+ ?(?:[np]g/ml|[npm]mol/l|meq/l)(?! ?[-,:>]+ ?(?:start|begin|give"
    r"|replace)[a-z]* \d)"
)
# "Iron 6, ferritin 9, B12 normal"
_MEASURED: Final = frozenset({"iron", "cyanocobalamin", "cholecalciferol", "folic acid"})
_LEVEL: Final = re.compile(
    r" ?(?:level )?(?:is |was |of |: ?|= ?)?(?:(?:normal|low|high|wnl|replete|raised|adequate)\b"
    r"|\d{1,3}(?:\.\d)?\b(?! ?(?:(?:m?c?g|iu|units?|tab|x|o?d|bd|tds|daily|weekly)\b|[a-z]+/)))"
)
_OF_THE_PAST: Final = re.compile(r"\b(?:19|20)\d\d,? \($")
_LEVEL_THEN: Final = re.compile(
    r"[ ]?[\d.]+ ?[a-z]+/m?l ?[-,:>]+ ?(?:start|begin|give|replace)[a-z]* (?=\d)", re.IGNORECASE
)
_NO_ALLERGY: Final = re.compile(
    r"\b(?:no|not|nor|denies|denied|without|never|nil|keine|pas|sin|niega|nessuna|geen|sem|nega)\b[^.;,:\n]{0,40}$",
    re.IGNORECASE,
)
_IF: Final = re.compile(r"\b(?:if|should|unless|when)\b", re.IGNORECASE)


# "Per the outside hospital's letter", "nursing home list:", "Records from Mercy Hospital show"; not "our letter" and
# "letter to the GP", which are of the note's own writer.
_OF_OTHERS: Final = re.compile(
    r"\b(?<!our )(?<!my )(?<!this )(?<!today's )(?:letters?(?! (?:sent|written|will|to be)\b)"
    r"(?! to (?:the |her |his )?gp\b)"
    r"|correspondence|e-?mail from|fax(?:ed)?(?: from| copy)|handover from"
    r"|referral (?:states|says|lists|mentions|names|form)"
    r"|according to (?:its|their|an?|the) (?:report|letter|list|records|printout)"
    r"|outside (?:\w+ ){0,2}(?:hospital|clinic|facility|provider|physician|doctor|\w+ologist)"
    r"|(?:(?:outside|external|old|transferring|transfer|referral|referring|another|other|previous|private|prison"
    r"|ambulance|paramedics?'?|service|trust|pharmacy|(?:nursing|care|rest) home|hospital|clinic|facility|rehab"
    r"|snf)(?:'s)? (?:[\w']+ ){0,2}(?:records?|notes?|summary|lists?|sheet|printout|documents?|paperwork|mar)"
    r"|(?:records?|notes?|summary|lists?|printout|documents?|paperwork) (?:[a-z]+ )?(?:from|of) (?:the |an? |another )?"
    r"(?:outside|external|other|previous|nursing|care|prison|(?-i:[A-Z])\w*))"
    r"|(?:[\w]+ologist|psychiatrist|physician|surgeon|doctor|dr [\w]+) (?:had )?(?:writes|wrote|written)"
    r" (?:in|on|that))\b",
    re.IGNORECASE,
)
_LETTER_END: Final = re.compile(r"\.(?=[\s\"'”’])|\n")


def _is_of_others(text: str, start: int) -> bool:
    """Whether a drug stands where the note quotes a letter or list of others: in its sentence or under its heading."""
    before = text[max(0, start - 240) : start]
    ends = [match.end() for match in _LETTER_END.finditer(before)]
    if _OF_OTHERS.search(before, ends[-1] if ends else 0):
        return True
    heading, colon, _ = before.rpartition("\n\n")[2].partition(":\n")
    return bool(colon) and _OF_OTHERS.search(heading.rpartition("\n")[2]) is not None


def _behind_last_end(before: str) -> str:
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    return before[ends[-1] :] if ends else before


def _status_before(before: str) -> str:
    """Return what the words before a drug say of it; the nearest cue decides."""
    best, offset = "", (-1, 0)
    for status, pattern in _BEFORE:
        match = pattern.search(before)
        if match is not None and (match.end("cue"), -match.start("cue")) > offset:
            best, offset = status, (match.end("cue"), -match.start("cue"))
    return best


def _status_after(after: str) -> str:
    """Return what the words behind a drug say of it, up to the end of the sentence or the next drug."""
    end = _SENTENCE_END.search(after)
    after = after[: end.start()] if end else after
    best, offset = "", len(after) + 1
    for status, pattern in _AFTER:
        match = pattern.match(after)
        if match is not None and match.end() < offset:
            best, offset = status, match.end()
    return best


def _dose(text: str, start: int, end: int, limit: int, name: str) -> tuple[int, str, str, bool]:
    """Where a drug with dose and frequency ends, the dose, the frequency, and whether the unit is assumed."""
    window = text[end:limit]
    tail = _LEVEL_THEN.match(window) or _NAME_TAIL.match(window)
    offset = tail.end() if tail else 0
    changed = _CHANGED_TO.match(window, offset)
    offset = changed.end() if changed else offset
    match = _DOSE.match(window, offset)
    dose, is_assumed, last = "", False, end
    if match is not None and not _is_no_dose(match, text[max(0, start - 200) : start]):
        last = end + match.end()
        dose, is_assumed = _amount(match, name)
    else:
        match = None
        before = _DOSE_BEFORE.search(text[max(0, start - 16) : start])
        dose = before[1] if before else ""
    frequency = _FREQUENCY.search(window, match.end() if match else 0, (match.end() if match else 0) + 32)
    if frequency is not None and not re.search(
        r"[,;.\n]| and ", window[match.end() if match else 0 : frequency.start()]
    ):
        between = window[match.end() if match else 0 : frequency.start()]
        is_of_dose = (match or frequency.start() < 3) and not _PLANS.search(between)
        last = end + frequency.end() if is_of_dose else last
        return last, dose, " ".join(frequency[0].split()), is_assumed
    return last, dose, "", is_assumed


_CHANGED: Final = re.compile(r"\b(?:increased|reduced|decreased|titrated|started)\b", re.IGNORECASE)
_LATELY: Final = re.compile(r"^ (?:in )?(?:last (?:week|month|year)|(?:19|20)\d\d)\b")
"""When the dose was changed, "increased to 5 mg last week": no time at which the drug ended."""
_PLANS: Final = re.compile(
    r"\bto (?!(?:be )?(?:tak|appl|us))|\b(?:(?:re)?start|begin|follow|until|if|when)", re.IGNORECASE
)
"""What says between dose and frequency that a drug is to come: "75 mg to start daily after discharge"."""


def _is_no_dose(match: re.Match[str], before: str) -> bool:
    """Whether a bare number is a year, a time, or the next number of a list: "2. AF, on apixaban 3. Anxiety"."""
    if not match["dose"] or match["unit"]:
        return False
    number = match["dose"]
    is_next = number.isdecimal() and re.search(rf"(?<!\d){int(number) - 1}[.)] ", before) is not None
    return is_next or _NO_DOSE.match(number) is not None


def _amount(match: re.Match[str], name: str) -> tuple[str, bool]:
    if match["ratio"]:
        return match["ratio"], False
    amount, unit = re.sub(r"\s", "", match["amount"]), (match["unit"] or "").lower()
    unit = _UNITS.get(unit, unit)
    if unit:
        return f"{amount} {unit}", False
    assumed = "units" if name.startswith("insulin") else "mcg" if _IN_MICROGRAMS.search(name) else "mg"
    return f"{amount} {assumed}", True


_NEXT_SENTENCE: Final = re.compile(r"[.;\n]\s+([^.;\n]+)")
_OF_THEM: Final = re.compile(r"\b(?:these|those|them|both|neither|none|all (?:two|three|four))\b", re.IGNORECASE)
_NOT_THEM: Final = re.compile(
    r"\b(?:neither|none|never|not (?!chang|alter|miss)|no longer|stop|ceas|discontinu|cancel|declin|refus)|n't\b",
    re.IGNORECASE,
)
_NOT_BEGUN: Final = re.compile(
    r"\b(?:has|have|had|did)(?: not|n't) (?:yet )?(?:begun?|start|tak|collect|fill|pick)", re.IGNORECASE
)

_NOT_IT: Final = re.compile(
    r"(?<!not )(?<!n't )(?<!never )\b(?:stopped|ceased|quit|dropped|skips|binned|came off|gave up"
    r"|no longer (?:takes|uses|needs|wants)|(?:not|n't|never)(?: been)? (?:tak|took|us|start|collect)\w*)"
    r"(?: (?:taking|using))? (?:it|that)"
    # "never took it with food", "if he dropped it, it would be", "has not taken it regularly"
    r"(?! (?:with (?:food|meals|milk|water)|for (?:weight|pain|sleep|his|her|the|this)|adjusted|should|must|would|if"
    r"|before (?:food|meals|bed)|in the (?:morning|evening)|only|regularly|properly|consistently|every)\b)\b",
    re.IGNORECASE,
)
"""What takes back the last drug of the sentence before: "he stopped it"."""
_ENDED: Final = re.compile(
    r"(?:now |since )?(?:stopped|discontinued|ceased|withheld|held|paused|on hold"
    r"|(?:not|never) (?:started|taken|collected|filled|tolerated))"
    r"(?: (?:in|on|by|last|this|because|due|since|after|at|as|yesterday|today)\b|$)",
    re.IGNORECASE,
)
"""The same in a sentence that names nothing: "Stopped in May"."""


def _without_taken_back(text: str, drugs: Sequence[Drug]) -> list[Drug]:
    """Give no drug as taken that the next sentence takes back: "These were never collected", "He has not begun"."""
    kept = []
    for index, drug in enumerate(drugs):
        end = _end_of_sentence(text, drug.end)
        following = _NEXT_SENTENCE.match(text, end)
        words = following[1] if following is not None else ""
        is_back = _NOT_BEGUN.search(words) or (_OF_THEM.search(words) and _NOT_THEM.search(words))
        is_last = index + 1 == len(drugs) or drugs[index + 1].start > end
        is_back = is_back or ((_NOT_IT.search(words) or _ENDED.match(words)) if is_last else None)
        if is_back and drug.status == "active" and not drug_mentions(words):
            drug = replace(drug, status="unconfirmed")
        kept.append(drug)
    return kept


def _end_of_sentence(text: str, place: int) -> int:
    """Return where the sentence of a place ends; a frequency may have taken its full stop."""
    if text[place - 1] == ".":
        return place - 1
    end = _SENTENCE_END.search(text, place)
    return end.start() if end is not None else len(text)


def _with_later_word(drugs: Sequence[Drug]) -> tuple[Drug, ...]:
    """Give each drug its last status where a later mention stops, holds or forbids what stood as taken."""
    last: dict[str, str] = {}
    corrected: list[Drug] = []
    for drug in reversed(drugs):
        if drug.status in _MAY_BE_TAKEN and last.get(drug.drug, "active") != "active":
            drug = replace(drug, status=last[drug.drug])
        elif drug.status in _CORRECTS:
            last.setdefault(drug.drug, drug.status)
        elif drug.status == "active":
            last.setdefault(drug.drug, "active")
        corrected.append(drug)
    return tuple(reversed(corrected))


def drug_mentions(text: str) -> list[tuple[int, int, str]]:
    """Return where a text names a drug, with its name; the abbreviations of notes go before the tables."""
    lowered = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    spans: dict[int, tuple[int, int, str]] = {}
    for match in _WORD.finditer(lowered):
        name = _SHORT_NAMES.get(match[0])
        if name:
            spans[match.start()] = (*match.span(), name)
    for start, end, members in names_in_text(text):
        word = lowered[start:end]
        if word in _SHORT_NAMES or (end - start < 4 and not text[start:end].isupper()):
            continue
        inside = [first for first in range(start - 12, end) if first in spans and spans[first][1] > start]
        if all(spans[first][1] - first < end - start for first in inside):
            for first in inside:
                del spans[first]
            spans[start] = (start, end, " / ".join(member.name for member in members))
    return [spans[start] for start in sorted(spans) if not _is_no_drug(lowered, *spans[start][1:])]


def _is_no_drug(lowered: str, end: int, name: str) -> bool:
    return bool(_NO_DRUG.match(lowered, end) or (name in _MEASURED and _LEVEL.match(lowered, end)))
