"""Which groups of conditions a text names, with what it says of them: "s/p mech AVR", "no evidence of DVT".

tables/condition_phrases.csv has the phrases. A row is of a condition group, or of a list of words, named with "@",
that other rows use. `words` are alternatives separated by "|"; each is one phrase, or several joined by " + " that must
stand in the same sentence, in any order. What stands under `unless` must not stand there. Phrases are compared word by
word, in the American spelling, without accents, plural endings and words that say nothing. The words of "@lookalike"
("diabetic diet", "stroke unit") hold the name of a disease and mean none: they are passed over.
tables/condition_phrases_foreign.csv has the names of the commonest problems in six other languages;
tables/second_meanings.csv has abbreviations of two meanings with the words beside them that make the other one of them
("PE normal", "SCDs on"), or leave open which is meant.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cache
from itertools import accumulate, chain
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.terminology.assertions import (
    AssertedText,
    Assertion,
    Subject,
    Token,
    cues_of_one_word,
    ends_abbreviation,
    tokens_of,
)
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import CONDITION_GROUPS, with_implied
from fhir.terminology.medication_names import is_name_of_drug
from fhir.terminology.medications import table_rows
from fhir.terminology.semantic_tags import TAGS_OF_NO_FACT, without_tag
from fhir.terminology.spelling import Spelling

_LONGEST = 2000
_ENGLISH: Final = "condition_phrases.csv"
_WINDOW: Final = 14
"""Within so many words the phrases of one alternative must stand."""
_IGNORED = frozenset({"of", "the", "nos", "unspecified", "unspec", "unsp", "other", "specified"})
_LOOKALIKE: Final = "@lookalike"
_ROMAN: Final = {"ii": "2", "iii": "3", "iv": "4", "v": "5", "iia": "2a", "iib": "2b", "iiia": "3a", "iiib": "3b"}
_BEFORE_ROMAN_ONE = frozenset(
    {"type", "stage", "grade", "class", "ckd", "bipolar", "mobitz", "nyha", "cin", "men"}
    | {"typ", "tipo", "stadium", "stade", "estadio", "stadio", "grad", "klasse", "clase"}
)
# Letters with accents as the bare ones, umlauts as German writes them without: "hämorrhagisch", "haemorrhagisch".
_BARE: Final[Mapping[int, str]] = {
    **{number: unicodedata.normalize("NFKD", chr(number))[0] for number in range(0xC0, 0x17F)},
    **{ord(letter): text for letter, text in {"ä": "ae", "ö": "oe", "ß": "ss", "œ": "oe", "æ": "ae", "ı": "i"}.items()},
}
_SHORT: Final = {short: row["means"] for row in table_rows("shortened_words.csv") for short in row["words"].split("|")}
"""What the words of problem lists are shortened to, and mean there in any phrase."""
_JOINED = re.compile(r"(ckd|cin|dm|brca|bmi|stage|type|lqt|men|t)([1-5][ab]?)$")
_WEEKS = re.compile(r"\d{1,2}w(?:\d?d)?$")
_UNITS = {**dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "#weeks"), "mets": "#mets"}
_UNITS |= {"mm": "#mm", "cm": "#cm", "mg": "#mg"}
_UNITS |= dict.fromkeys(("sa", "sdg"), "#sa")  # French and Spanish weeks of pregnancy: "28 SA"
# What a number says behind these words, from the least that says so to below the most: BMI 40 and more, a QTc of 500 ms
# and more, an ejection fraction of at most 40 % (reduced: universal definition of heart failure, 2021), and what is no
# tumor but calcium ("Ca 9.2"), no myasthenia but magnesium, no psoriasis but an antigen, or equivalents ("METs > 4").
_REDUCED: Final = "#reduced"
_NUMBERS: Final[Mapping[str, tuple[float, float, str]]] = {
    **dict.fromkeys(("qt", "qtc", "qtcf"), (500.0, 700.0, "#500")),
    **dict.fromkeys(("bmi", "index"), (40.0, 100.0, "#40")),
    **dict.fromkeys(("ef", "lvef", "fe", "fevi", "fevg", "feve", "fevs"), (5.0, 40.01, _REDUCED)),
    "ca": (0.5, 20.0, "#calcium"),
    "mg": (0.3, 10.0, "#magnesium"),
    "psa": (0.0, 200.0, "#psa"),
    "mets": (1.0, 30.0, "#mets"),
}
_GRAVIDA = re.compile(r"g\d{1,2}(?:p\d*)?$")
_DAYS = frozenset("0123456")
_MOST_WEEKS: Final = 43
_PARTS = frozenset({".", ";", "\n"})


class _Rule(Struct, frozen=True, gc=False):
    """One alternative: all of these names must stand near each other, none of the others."""

    group: str
    names: tuple[str, ...]
    others: frozenset[str]
    unless: frozenset[str]


class _Meaning(Struct, frozen=True, gc=False):
    """Another meaning of an abbreviation: phrases beside it that make it, and those that speak against it."""

    is_beside: bool
    beside: frozenset[str]
    unless: frozenset[str]
    is_clear: bool


class _Phrases(Struct, frozen=True):
    """The compiled table: phrases by their first word with the name that each has, and rules by their first name."""

    by_first_word: Mapping[str, tuple[tuple[int, Mapping[tuple[str, ...], tuple[str, ...]]], ...]]
    """By the first word, and by how many words there are behind it: what they are, with the names of the phrase."""
    rules: Mapping[str, tuple[_Rule, ...]]
    names: frozenset[str]
    spelling: Spelling
    meanings: Mapping[str, tuple["_Meaning", ...]]


_Positions: TypeAlias = Mapping[str, list[tuple[int, int]]]
"""The first and last word of each phrase of the tables that stands in the words, by the phrase's name."""


class Mention(Struct, frozen=True, gc=False):
    """A group that a text names, with what the text says of it."""

    group: str
    assertion: Assertion


_INVERTED: Final = re.compile(r"([^\W\d][\w'-]*(?: [\w'-]+){0,2}), ([\w'-]+(?: [\w'-]+){0,2})((?:[,;(].{0,60})?)$")
"""A term with its noun first, as indexes write it: "Tachycardia, ventricular", "Kidney disease, chronic, stage 4"."""
_ABBREVIATION: Final = re.compile(r" \([A-Z][A-Za-z0-9-]{1,6}\)(?= \w)")
"""An abbreviation within a name: "Multiple endocrine neoplasia (MEN) type 2A"."""
_NONE: Final = frozenset({"none", "no", "denied", "negative", "absent"})
# "Family history, breast cancer", "Risk, stroke"
_NO_FACT: Final = frozenset(
    {"risk", "test", "testing", "screening", "exposure", "family history", "fh", "fhx", "family hx"}
)


@remembered("groups in words", entries=4096, longest=200)
def groups_in_words(text: str) -> tuple[Mention, ...]:
    """Return the groups that a text names, each once with the most affirmative of what it says, implied groups behind.

    >>> [(mention.group, mention.assertion.word) for mention in groups_in_words("No DVT; h/o gout")][1]
    ('gout', 'historical')
    """
    if text.rstrip().rpartition("(")[2] in TAGS_OF_NO_FACT:
        return ()
    best = _best_of_groups(without_tag(text[:_LONGEST]))
    if "(" in text and (shorter := _ABBREVIATION.sub("", text[:_LONGEST])) != text[:_LONGEST]:
        best = _best_of_groups(shorter) | best
    inverted = _INVERTED.match(text)
    while inverted is not None:
        noun, words, rest = inverted.groups()
        if words.casefold() in _NONE:  # "Seizures, none"
            return _mentions_of(_best_of_groups(f"{noun}: {words}{rest}"))
        text = f"{words} {noun}{rest}"
        turned = _best_of_groups(text)
        if noun.casefold() in _NO_FACT:
            best = {group: turned[group] for group in best if group in turned}
        best |= {group: turned[group] for group in turned if group not in best}
        inverted = _INVERTED.match(text)
    return _mentions_of(best)


def _mentions_of(best: Mapping[str, Assertion]) -> tuple[Mention, ...]:
    return tuple(Mention(group, assertion) for group, assertion in best.items())


def _best_of_groups(text: str) -> dict[str, Assertion]:
    asserted = AssertedText(text)
    best: dict[str, Assertion] = {}
    for part in plain_parts(asserted):
        texts, positions = _read_part(part, asserted)
        clauses = _clauses(part, asserted)
        mentions = list(_mentions(positions, clauses))
        strangers: tuple[Sequence[bool], Sequence[bool]] | None = None
        for group, spans in mentions:
            assertion = _assertion(asserted, [(part[first][1], part[last][1]) for first, last in spans])
            if assertion.is_of_patient:
                before, behind = strangers = strangers or _strangers_beside(
                    part, texts, positions, asserted, clauses, {first for _, spans in mentions for first, _ in spans}
                )
                # "Podcast asthma", "asthma club": of whom, of what? "Severe MI": of the muscle or of the valve?
                if before[spans[0][0]] or behind[spans[0][1]] or _has_two_meanings(part, spans, positions, asserted):
                    assertion = replace(assertion, polarity="unclear")
            if group not in best or _rank(assertion) > _rank(best[group]):
                best[group] = assertion
    for group in tuple(best):
        for implied in with_implied((group,))[1:]:
            if implied not in best or _rank(best[group]) > _rank(best[implied]):
                best[implied] = best[group]
    return best


def _rank(assertion: Assertion) -> tuple[bool, bool]:
    return assertion.is_of_patient, assertion.temporality == "current"


def plain_words(tokens: Sequence[Token]) -> list[tuple[str, int]]:
    """Return the words of a text as phrases have them, each with the position of its token."""
    words: list[tuple[str, int]] = []
    for position, token in enumerate(tokens):
        word = token.word
        if not word[0].isalnum():
            continue
        if word in _IGNORED or (word == "hcc" and words and tokens[position - 1].word in {"(", "/", "-", "cms"}):
            continue  # Epic and Cerner write (HCC) behind what counts for payment
        if word[0].isdigit() and (_WEEKS.match(word) or _is_weeks_and_days(tokens[position : position + 3])):
            word = "#weeks"
        elif words and (mark := _mark_beside(word, words[-1][0], tokens[position - 1 : position + 3])):
            word = mark
        elif "p" in word and _GRAVIDA.match(word):
            word = "#gravida"
        elif word[-1] in "12345ab" and (joined := _JOINED.match(word)):
            words.append((joined[1], position))
            word = joined[2]
        elif word in _ROMAN:
            word = _ROMAN[word]
        elif word in _SHORT:
            word = _SHORT[word]
        elif word == "i" and words and words[-1][0] in _BEFORE_ROMAN_ONE:
            word = "1"
        else:
            word = word if word.isascii() else word.translate(_BARE)
            if len(word) > 3:  # "HAE" is not "he"
                word = word.replace("ae", "e").replace("oe", "e").replace("tumour", "tumor")
            word = _singular(word)
        words.append((word, position))
    return words


def _is_weeks_and_days(tokens: Sequence[Token]) -> bool:
    """Whether tokens are the weeks of a pregnancy, with days or of forty: "33+2", "33/40", but not "95/40"."""
    if len(tokens) < 3 or not tokens[0].word.isdecimal():
        return False
    of_forty = tokens[1].word == "/" and tokens[2].word == "40" and int(tokens[0].word) < _MOST_WEEKS
    if not of_forty and (tokens[1].word != "+" or tokens[2].word not in _DAYS):
        return False
    return len(tokens[0].word) < 3 and tokens[0].end == tokens[1].start and tokens[1].end == tokens[2].start


def _mark_beside(word: str, before: str, around: Sequence[Token]) -> str | None:
    """Say what a number with the word beside it means: "22 wks" weeks, "5 mm" no myeloma, "BMI 43" and "QTc 520".

    `around` begins with the sign before it.
    """
    if word in _UNITS:
        return _UNITS[word] if before[0].isdigit() else None
    if before not in _NUMBERS or not word.replace(".", "", 1).isdecimal() or len(word) > 5:
        return None
    least, most, mark = _NUMBERS[before]
    if around[0].word == (">" if mark == _REDUCED else "<"):
        return None
    if mark == _REDUCED and len(around) == 4 and around[2].word in {"-", "to"} and around[3].word.isdecimal():
        word = around[3].word  # "EF 40-45 %" is not reduced
    return mark if least <= float(word) < most and (before not in {"ca", "mg"} or "." in word) else None


def _singular(word: str) -> str:
    if len(word) < 4 or word[-1] != "s" or word[-2] in "sui" or word in _neutral_words()["singular"]:
        return word
    return f"{word[:-3]}y" if word.endswith("ies") and len(word) > 5 else word[:-1]


def plain_parts(asserted: AssertedText) -> Iterator[list[tuple[str, int]]]:
    """Yield the plain words between the ends of sentences, each with the position of its token."""
    part: list[Token] = []
    first = 0
    for position, token in enumerate(asserted.tokens):
        if token.word in _PARTS and not (token.word == "." and ends_abbreviation(asserted.tokens, position)):
            if part:
                yield [(word, first + at) for word, at in plain_words(part)]
            part, first = [], position + 1
        else:
            part.append(token)
    if part:
        yield [(word, first + at) for word, at in plain_words(part)]


def group_spans(part: list[tuple[str, int]], asserted: AssertedText) -> Iterator[tuple[str, int, int]]:
    """Each group that a part of a text names, with the first and the last token of the name."""
    for group, spans in _mentions(_read_part(part, asserted)[1], _clauses(part, asserted)):
        yield group, part[min(first for first, _ in spans)][1], part[max(last for _, last in spans)][1]


def _read_part(words: list[tuple[str, int]], asserted: AssertedText) -> tuple[list[str], _Positions]:
    """Return the words as the phrases have them, look-alikes left out as "", and where each phrase stands."""
    phrases = _compiled()
    texts = [_corrected(word) for word, _ in words]
    for short in (*_written_out(words, asserted), *_sized(texts)):
        texts[short] = ""
    positions = _positions(texts, phrases)
    others = [number for number in range(len(texts)) if _other_meaning(number, words, positions, asserted) is True]
    for number in others:
        texts[number] = ""
    if others:
        positions = _positions(texts, phrases)
    if _LOOKALIKE in positions:
        for first, last in _lookalikes(positions, words, asserted):
            texts[first : last + 1] = [""] * (last + 1 - first)
        positions = _positions(texts, phrases)
    return texts, positions


@remembered("words as the phrases spell them", entries=4096, longest=40)
def _corrected(word: str) -> str:
    """Remembered, because it compares a word with up to a hundred others, and texts of a chart share most of theirs."""
    return _compiled().spelling.corrected(word)


def _clauses(words: Sequence[tuple[str, int]], asserted: AssertedText) -> Sequence[int]:
    """Say for each word how many spaced dashes and commas stand before it: a comma counts twice."""
    if not words:
        return ()
    (_, first), (_, last) = words[0], words[-1]
    ends = list(
        accumulate(
            asserted.ends_clause(position) + (asserted.tokens[position].word == ",")
            for position in range(first, last + 1)
        )
    )
    return [ends[position - first] for _, position in words]


def _mentions(positions: _Positions, clauses: Sequence[int]) -> Iterator[tuple[str, tuple[tuple[int, int], ...]]]:
    """Yield each group that the phrases name, with the first and last words of its phrases."""
    rules = _compiled().rules
    for name in positions:
        for rule in rules.get(name, ()):
            if positions.keys() >= rule.others:
                exceptions = [span for other in rule.unless & positions.keys() for span in positions[other]]
                for spans in _near(rule, positions):
                    if not any(_excludes(exception, spans, clauses) for exception in exceptions):
                        yield rule.group, spans


def _excludes(exception: tuple[int, int], spans: Iterable[tuple[int, int]], clauses: Sequence[int]) -> bool:
    """Whether an exception speaks of a name: it stands in its clause, is one as indexes end a term, or behind a dash.

    "Hypertension, portal" and "hypertension - ocular in 2020", but not "depression, fracture of the left hip".
    """
    start, last = exception
    clause, of_name = clauses[start], {clauses[index] for first, end in spans for index in range(first, end + 1)}
    if clause in of_name or clauses.count(clause) <= last - start + 1:
        return True
    return start > 0 and clause - clauses[start - 1] == 1 and clauses[start - 1] in of_name


def said_and_unclear(
    text: str, of: Subject, names: Sequence[tuple[int, int]], spelling: Spelling
) -> tuple[str, str, str]:
    """Return what a text says of the patient, of that what is clear, and what is not: sentences with a strange word.

    No word is strange that stands in one of the `names`, by their first and last character, or is near to one that is
    spelled right. Any other may deny what stands beside it, or say it of somebody else; but beside a reaction, and
    behind the sign after a name ("codeine: ..."), only what `_doubtful` leaves does and words of use, such as "bid".
    What is denied is in neither.
    """
    asserted = AssertedText(text, of=of)
    said = asserted.without_denied(text)
    clear, unclear = said, ""
    neutral, names_end = _neutral_words(), min((end for _, end in names), default=len(text))
    set_off = next((sign.start() for sign in _SET_OFF.finditer(text, names_end)), len(text))
    scheme = _SCHEME.search(text)
    for part in filter(None, plain_parts(asserted)):
        tokens = [asserted.tokens[position] for _, position in part]
        in_names = [any(start < token.end and end > token.start for start, end in names) for token in tokens]
        strange = [
            is_strange and not is_name and not spelling.near(word)
            for is_strange, is_name, (word, _) in zip(
                _strange(part, *_read_part(part, asserted), asserted), in_names, part, strict=True
            )
        ]
        words = ["" if is_name else word for is_name, (word, _) in zip(in_names, part, strict=True)]
        is_reaction = any(strange) and _names_a_reaction(words)
        # "Amoxicillin 500 mg TID - hives": a reaction behind a sign is none that the drug is taken for.
        schedule_ends = [token.end for token, word in zip(tokens, words, strict=True) if word in neutral["schedule"]]
        sign = _SET_OFF.search(text, max(schedule_ends, default=scheme.end() if scheme else len(text)), tokens[-1].end)
        behind = [word for token, word in zip(tokens, words, strict=True) if sign and token.start >= sign.start()]
        is_for_it = not _names_a_reaction(behind)
        if (
            (scheme and is_for_it)
            or any(_doubtful(part, strange, () if is_reaction else [0] * len(part)))
            or any(
                is_strange
                and ((word in neutral["schedule"] and is_for_it) or not is_reaction)
                and (token.start < set_off or word in neutral["strange"])
                for is_strange, token, (word, _) in zip(strange, tokens, part, strict=True)
            )
        ):
            start, end = tokens[0].start, tokens[-1].end
            clear, unclear = f"{clear[:start]}{' ' * (end - start)}{clear[end:]}", f"{unclear} . {clear[start:end]}"
    return said, clear, unclear


def _names_a_reaction(words: Sequence[str]) -> bool:
    """Whether words name a reaction that is neither denied nor what a drug is for: "no rash", "for itching".

    A name is "" among the words: "allergisk mot penicillin, utslett" is for no rash.
    """
    neutral = _neutral_words()
    before = neutral["not"] | neutral["for"]
    return any(
        (word in neutral["reaction"] or _is_compound(word))
        and before.isdisjoint(words[max(0, index - (3 if words[index - 1] else 1)) : index])
        for index, word in enumerate(words)
    )


_SCHEME = re.compile(r"(?<![\d-])[0-4]-[0-4]-[0-4](?![\d-])|\b(?:si|se) (?:dol|dou|dor|fi[eè]|feb)")
"""How often a drug is taken, or when: "1-0-1", "si douleur"."""
_SET_OFF = re.compile(r"[:(=>,/\[|]|(?<![\d-])-(?!\d)|\n")


# "Splenomegaly associated with AIDS", "pelvic mass in pregnancy": what leads to the name says that it is there.
_LEAD_TO_NAME: Final = frozenset({"associated", "occurrent", "complicating", "affecting"})
_IN_PREGNANCY: Final = frozenset({("in", "pregnancy"), ("during", "pregnancy")})


def _strangers_beside(
    words: list[tuple[str, int]],
    texts: Sequence[str],
    positions: _Positions,
    asserted: AssertedText,
    clauses: Sequence[int],
    names: Set[int],
) -> tuple[Sequence[bool], Sequence[bool]]:
    """For each word of a part, whether a strange one stands before it, or a doubtful one governs it from behind.

    A strange word behind a name governs up to the comma: "DES to prox LAD, gout".

    From behind govern the words up to a comma and to such as "with" and "on", or "without" what is no proof. Before a
    name, too, only doubtful words count where patients speak of themselves, and where the part names a drug.
    """
    neutral = _neutral_words()
    strange: Sequence[bool] = _strange(words, texts, positions, asserted)
    doubtful, behind = _doubtful(words, strange, clauses), [False] * len(words)
    for index in range(len(words) - 2, -1, -1):
        word, after = words[index + 1][0], words[index + 2 : index + 3]
        is_without = word in neutral["without"] and after and after[0][0][:_STEM] not in neutral["proof"]
        if word not in neutral["end"] and not is_without and clauses[index] == clauses[index + 1]:
            behind[index] = doubtful[index + 1] or behind[index + 1]
    if any(strange):
        adjectives = tuple(neutral["adjective"])  # how they end: "paralytic ileus", "necrotizing pancreatitis"
        is_own = any(word in neutral["self"] or is_name_of_drug(word) for word, _ in words)
        strange = [
            is_doubtful or (is_strange and not is_own and not word.endswith(adjectives))
            for is_doubtful, is_strange, (word, _) in zip(doubtful, strange, words, strict=True)
        ]
        for index in range(len(words) - 1, 0, -1):
            if words[index][0] in _LEAD_TO_NAME or (words[index - 1][0], words[index][0]) in _IN_PREGNANCY:
                strange[:index] = doubtful[:index]
                break
    before, carried, is_behind_name = [False], False, False
    for index, is_strange in enumerate(strange):
        if index and clauses[index] != clauses[index - 1]:
            before[-1], is_behind_name = carried, False
        is_behind_name |= index in names
        carried |= is_strange and (doubtful[index] or not is_behind_name)
        before.append(before[-1] or is_strange)
    return before, behind


def _doubtful(words: Sequence[tuple[str, int]], strange: Sequence[bool], clauses: Sequence[int] = ()) -> Sequence[bool]:
    """Say which of the strange words may change what is said: those that begin as a cue or a word of the table does.

    In `clauses`, if there are any, it is each of them beside a "not": "not supported by".
    """
    if not any(strange):
        return strange
    denying = _neutral_words()["not"]
    denied = {clauses[index] for index, (word, _) in enumerate(words) if word in denying} if clauses else set()
    return [
        is_strange and (word[:_STEM] in _doubts() or (bool(denied) and clauses[index] in denied))
        for index, (is_strange, (word, _)) in enumerate(zip(strange, words, strict=True))
    ]


@cache
def _doubts() -> Set[str]:
    """Return how words begin that deny, doubt, plan or tell of somebody else: cues of one word, and the table's."""
    neutral = _neutral_words()
    cues = [word for word, _ in plain_words([Token(word, 0, len(word)) for word in cues_of_one_word("problem")])]
    return {word[:_STEM] for word in {*cues, *neutral["doubt"]} - neutral["not"]}


def _strange(
    words: list[tuple[str, int]], texts: Sequence[str], positions: _Positions, asserted: AssertedText
) -> list[bool]:
    """For each word of a part, whether nothing accounts for it.

    That do names, cues, drugs, numbers, on a list of problems the word before one ("CK 4800"), and what
    neutral_words.csv has.
    """
    names, neutral = _compiled().names, _neutral_words()
    of_use = neutral["strange"] if asserted.subject == "allergy" else frozenset[str]()
    spans = chain.from_iterable(of_name for name, of_name in positions.items() if name in names)
    in_names = set(chain.from_iterable(range(first, last + 1) for first, last in spans))
    return [
        position not in asserted.cue_tokens
        and (
            word in of_use
            or not (
                index in in_names
                or (following[:1].isdigit() and asserted.subject != "allergy")
                or any(_is_neutral(form, neutral, asserted.subject) for form in {texts[index], word})
            )
        )
        for index, ((word, position), following) in enumerate(zip(words, [*texts[1:], ""], strict=True))
    ]


# Kinds of words that leave a name what it is: on a list of problems, and on one of allergies.
_NEUTRAL: Final = (("word", "end", "self"), ("end", "self", "allergy", "reaction"))


def _is_neutral(word: str, neutral: Mapping[str, Set[str]], subject: Subject) -> bool:
    """Whether a word leaves a name what it is: a number, a course, a side, a sign, a drug and the like."""
    return (
        len(word) < 2
        or not word.isalpha()
        or any(word in neutral[kind] for kind in _NEUTRAL[subject == "allergy"])
        or (_is_compound(word) if subject == "allergy" else len(word) > _STEM and word[:_STEM] in neutral["stem"])
        or is_name_of_drug(word)
    )


def leaves_a_problem(word: str) -> bool:
    """Whether this word beside a problem leaves it what it is: a course, a side, a sign, a drug and the like."""
    return _is_neutral(word, _neutral_words(), "problem")


def _is_compound(word: str) -> bool:
    """Whether a long word has that of a reaction in it: "Kontakturtikaria"."""
    return len(word) > _STEM and _reaction_in_word().search(word) is not None


@cache
def _reaction_in_word() -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(_neutral_words()["part"]))))


_STEM: Final = 6
"""So many letters of a longer word say which one it is: "moderate", "moderada", "moderato"."""


@cache
def _neutral_words() -> Mapping[str, Set[str]]:
    words: dict[str, set[str]] = {}
    for row in table_rows("neutral_words.csv"):
        words.setdefault(row["kind"], set()).update(row["words"].split("|"))
    words["strange"] |= words["schedule"]
    return words


def words_of_kind(kind: str) -> Set[str]:
    """Return the words of a kind of the table of words beside a name."""
    return _neutral_words()[kind]


def _positions(texts: Sequence[str], phrases: _Phrases) -> _Positions:
    positions: dict[str, list[tuple[int, int]]] = {}
    for start, word in enumerate(texts):
        for length, endings in phrases.by_first_word.get(word, ()):
            for name in endings.get(tuple(texts[start + 1 : start + 1 + length]), ()):
                positions.setdefault(name, []).append((start, start + length))
    return positions


def _written_out(words: list[tuple[str, int]], asserted: AssertedText) -> Iterator[int]:
    """Yield the abbreviations that the text writes out beside them: they are only what it says.

    "RA (refractory anemia)", "carotid artery dissection (CAD)", and three letters or more without brackets, too:
    "PAD public access defibrillator".
    """
    marks = asserted.tokens
    for number, (word, position) in enumerate(words):
        size, initials = len(word), "".join(other[0] for other, _ in words[number + 1 : number + 1 + len(word)])
        if not 1 < size < 5:
            continue
        if initials == word:
            end = words[number + size][1]
            in_brackets = marks[position + 1].word == "(" and end + 1 < len(marks) and marks[end + 1].word == ")"
            if in_brackets or (size > 2 and end - position == size):
                yield number
        elif position + 1 < len(marks) and marks[position - 1].word == "(":
            before = "".join(other[0] for other, _ in words[number - size : number])
            if before == word and marks[position + 1].word == ")":
                yield number


_BESIDE: Final = 2
"""So many words away stands what is beside an abbreviation, without commas and links between them."""


def _other_meaning(
    number: int, words: list[tuple[str, int]], positions: _Positions, asserted: AssertedText
) -> bool | None:
    """Return whether what stands beside an abbreviation makes another meaning of it, False where that is not clear."""
    answer, tokens, position = None, asserted.tokens, words[number][1]
    marks = (tokens[beside].word if 0 <= beside < len(tokens) else "," for beside in (position - 1, position + 1))
    is_item = _ENDS_EXPANSION.issuperset(marks)  # "RA, SpO2 94 %": of a list one item does not say what another means
    for meaning in _compiled().meanings.get(words[number][0], ()):
        if meaning.unless.isdisjoint(positions):
            for span in chain.from_iterable(positions[name] for name in meaning.beside & positions.keys()):
                if not answer and _speaks_of(number, span, words, asserted, is_beside=meaning.is_beside):
                    answer = meaning.is_clear and not is_item
    return answer


def _speaks_of(
    number: int, span: tuple[int, int], words: list[tuple[str, int]], asserted: AssertedText, *, is_beside: bool
) -> bool:
    """Whether other words speak of an abbreviation: near to it, or right beside it or in brackets behind it."""
    distance = _distance(span, (number, number))
    if distance > _WINDOW or not is_beside:
        return distance <= _WINDOW
    tokens, position, first, last = asserted.tokens, words[number][1], words[span[0]][1], words[span[1]][1]
    if first > position and tokens[first - 1].word == "(":
        return True
    whole = {token.word for token in tokens[min(first, position) : max(last, position)]}
    between = {token.word for token in tokens[min(last, position) + 1 : max(first, position)]}
    return distance <= _BESIDE and "," not in whole and _neutral_words()["link"].isdisjoint(between)


def _has_two_meanings(
    words: list[tuple[str, int]],
    spans: Iterable[tuple[int, int]],
    positions: _Positions,
    asserted: AssertedText,
) -> bool:
    """Whether one of the names is an abbreviation of which it is not clear what it means."""
    return any(
        first == last
        and (_other_meaning(first, words, positions, asserted) is False or _is_spelled_out(words[first], asserted))
        for first, last in spans
    )


def _is_spelled_out(word: tuple[str, int], asserted: AssertedText) -> bool:
    """Whether behind a sign words with the letters of an abbreviation end the sentence: "HF - hip fracture".

    They may also say how the disease does ("GERD: good effect ranitidine daily" names a drug, "AF: ablation failed"),
    "DM - diet managed" a word of treatment), so that the abbreviation has no meaning that is clear.
    """
    (text, position), tokens = word, asserted.tokens
    size, start = len(text), position + 2
    following = [token.word for token in tokens[start : start + size]]
    return (
        1 < size < 5
        and len(following) == size
        and tokens[position + 1].word in ":-="
        and "".join(other[0] for other in following) == text
        and (start + size == len(tokens) or tokens[start + size].word in _ENDS_EXPANSION)
        and not any(is_name_of_drug(other) or other in _neutral_words()["treated"] for other in following)
    )


_ENDS_EXPANSION: Final = _PARTS | {",", "(", ")"}
# Amniotic fluid, the right atrium, the diastolic pressure, a diameter and the rates of breath and heart in German have
# a number with a unit, no disease of ours.
_SIZED: Final = frozenset({"af", "ra", "pad", "dm", "hf"})
_SIZE = re.compile(r"[\d.x ]+#?(?:cm|mm|mmhg|ml)\b|\d\d? min\b")


def _sized(texts: Sequence[str]) -> Iterator[int]:
    """Yield the abbreviations of what is measured: "AF 14 x 10 cm", "RA 8 mmHg"."""
    for number, word in enumerate(texts):
        if word in _SIZED and _SIZE.match(" ".join(texts[number + 1 : number + 7])):
            yield number


def _lookalikes(positions: _Positions, words: list[tuple[str, int]], asserted: AssertedText) -> list[tuple[int, int]]:
    """Find the names that only hold that of a disease, where no comma and no longer name makes something else of them.

    "Diabetic, diet controlled" and "diabetic diet controlled" are diabetes, a "diabetic diet" is none.
    """
    spans = [span for name, of_name in positions.items() if name != _LOOKALIKE for span in of_name]
    return [
        (first, last)
        for first, last in positions[_LOOKALIKE]
        if not any(start <= first and end >= last and end - start > last - first for start, end in spans)
        and all(token.word != "," for token in asserted.tokens[words[first][1] : words[last][1]])
    ]


def _near(rule: _Rule, positions: _Positions) -> Iterator[tuple[tuple[int, int], ...]]:
    """For each position of the first phrase the nearest positions of the others, if all of them are near."""
    for first in positions[rule.names[0]]:
        spans = [first]
        for name in rule.names[1:]:
            options = [span for span in positions[name] if _distance(span, first) <= _WINDOW]
            if not options:
                break
            spans.append(min(options, key=lambda span: _distance(span, first)))
        else:
            yield tuple(spans)


def _distance(span: tuple[int, int], other: tuple[int, int]) -> int:
    return max(span[0] - other[1], other[0] - span[1])


def _assertion(asserted: AssertedText, spans: Iterable[tuple[int, int]]) -> Assertion:
    return min((asserted.assertion(first, last) for first, last in spans), key=_rank)


SITE_PHRASES: Final[list[tuple[str, str]]] = []
"""Groups with a phrase of a hospital's own, read before the first text (site_conditions.py)."""


class _Compiler:
    """Reads rows of phrases; what the spelling makes of a word of a text, it makes of the words of a phrase, too."""

    def __init__(self) -> None:
        self._by_first_word: dict[str, dict[tuple[str, ...], list[str]]] = {}
        self._rules: dict[str, list[_Rule]] = {}
        self._spelling = Spelling(())
        self._exceptions: dict[str, frozenset[str]] = {}
        self._names: dict[str, str] = {}
        self._meanings: dict[str, list[_Meaning]] = {}

    def learn_words(self) -> None:
        """Take the words that were read so far for those that are spelled right."""
        endings_by_word = self._by_first_word.items()
        self._spelling = Spelling(
            {word for first, endings in endings_by_word for following in endings for word in (first, *following)}
        )

    def add_row(self, group: str, alternatives: Sequence[str], unless: Sequence[str], *, is_foreign: bool) -> None:
        """Add the phrases of a group, or of a list of words, which begins with "@".

        The exceptions of the English names hold for those of other languages, too: "dépression" is read as one of them.
        """
        exceptions = frozenset(self._name_of(phrase) for phrase in unless)
        of_group = self._exceptions.get(group, frozenset()) | exceptions
        if is_foreign:
            exceptions = of_group
        else:
            self._exceptions[group] = of_group
        for alternative in alternatives:
            names = tuple(self._name_of(phrase) for phrase in alternative.split(" + "))
            if group.startswith("@"):
                for name in names:
                    self._add(tuple(name.split()), group)
            else:
                rule = _Rule(CONDITION_GROUPS[group].key, names, frozenset(names[1:]), exceptions)
                self._rules.setdefault(names[0], []).append(rule)

    def add_meaning(self, row: Mapping[str, str]) -> None:
        """Add another meaning of an abbreviation."""
        beside, unless = (
            frozenset(self._name_of(phrase) for phrase in row[column].split("|") if phrase)
            for column in ("beside", "unless")
        )
        meaning = _Meaning(row["where"] == "beside", beside, unless, row["reads"] == "other")
        for abbreviation, _ in plain_words(tokens_of(row["abbreviation"])):
            self._meanings.setdefault(abbreviation, []).append(meaning)

    def _name_of(self, phrase: str) -> str:
        name = self._names.get(phrase)
        if name is None:
            name = self._names[phrase] = phrase if phrase.startswith("@") else self._read(phrase)
        return name

    def _read(self, phrase: str) -> str:
        mark, _, rest = phrase.partition(" ") if phrase.startswith("#") else ("", "", phrase)
        words = (self._spelling.corrected(word) for word, _ in plain_words(tokens_of(rest)))
        plain = (mark, *words) if mark else tuple(words)  # "#weeks pregnant": what plain_words makes of "24w"
        if not plain:
            raise ValueError(f"a phrase without words: {phrase!r}")
        self._add(plain, " ".join(plain))
        return " ".join(plain)

    def _add(self, plain: tuple[str, ...], name: str) -> None:
        names = self._by_first_word.setdefault(plain[0], {}).setdefault(plain[1:], [])
        if name not in names:
            names.append(name)

    def phrases(self) -> _Phrases:
        """Return all that was read."""
        return _Phrases(
            {first: _by_length(endings) for first, endings in self._by_first_word.items()},
            {name: tuple(alternatives) for name, alternatives in self._rules.items()},
            frozenset(name for rules in self._rules.values() for rule in rules for name in rule.names) - {_LOOKALIKE},
            self._spelling,
            {abbreviation: tuple(meanings) for abbreviation, meanings in self._meanings.items()},
        )


def _by_length(
    endings: Mapping[tuple[str, ...], Sequence[str]],
) -> tuple[tuple[int, Mapping[tuple[str, ...], tuple[str, ...]]], ...]:
    lengths = dict.fromkeys(map(len, endings))
    return tuple(
        (length, {following: tuple(names) for following, names in endings.items() if len(following) == length})
        for length in lengths
    )


@cache
def _compiled() -> _Phrases:
    compiler = _Compiler()
    for table in (_ENGLISH, "condition_phrases_foreign.csv"):
        for row in table_rows(table):
            unless = [phrase for phrase in row["unless"].split("|") if phrase.strip()]
            compiler.add_row(row["group"], row["words"].split("|"), unless, is_foreign=table != _ENGLISH)
        if table == _ENGLISH:
            compiler.learn_words()  # of English: "artritis" is read as "arthritis" in Spanish, too
    for row in table_rows("second_meanings.csv"):
        compiler.add_meaning(row)
    for group, phrase in SITE_PHRASES:
        compiler.add_row(group, (phrase,), (), is_foreign=False)
    return compiler.phrases()
