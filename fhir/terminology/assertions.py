"""What a text says of the things that it names: affirmed or denied, now or before, of the patient or of somebody else.

One pass over the words of a text, in the manner of NegEx and ConText (Chapman 2001, Harkema 2009): cue words
(tables/assertion_cues.csv) change the words behind or before them until a sentence, a line, "but" or a number of words
ends their scope. The time that a reading takes grows linearly with the text, whatever stands in it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final, Literal, TypeAlias, cast, get_args

from msgspec import Struct

from fhir.terminology.medication_names import is_name_of_drug, without_accents
from fhir.terminology.medications import table_rows

Polarity: TypeAlias = Literal["affirmed", "negated", "possible", "hypothetical", "unclear"]
Temporality: TypeAlias = Literal["current", "historical", "hypothetical"]
Person: TypeAlias = Literal["patient", "family", "other"]
Subject: TypeAlias = Literal["problem", "allergy", "reaction", "vaccine"]
"""What the text is of: lists of allergies and of doses have cues of their own: "no NSAIDs" denies nothing there."""


class Assertion(Struct, frozen=True, gc=False):
    """What is said of one thing that a text names."""

    polarity: Polarity = "affirmed"
    temporality: Temporality = "current"
    person: Person = "patient"

    @property
    def is_of_patient(self) -> bool:
        """Whether the patient has it or had it."""
        return self.polarity == "affirmed" and self.person == "patient"

    @property
    def word(self) -> str:
        """The most telling of the three in one word, for a report."""
        if self.person != "patient":
            return self.person
        return self.temporality if self.polarity == "affirmed" and self.temporality == "historical" else self.polarity


class Token(Struct, frozen=True, gc=False):
    """One word or sign of a text, in lower case, with its position."""

    word: str
    start: int
    end: int


_TOKEN = re.compile(r"\d+\.\d+|[^\W_]+|[\n?.;:,()\[\]+/<>=%-]")
_REACH: Final = 12
"""How many words a cue reaches where the table does not say it."""
_OF_TOPICS: Final = 5  # how far back "diet sheet" and "serology" reach, which make a name their topic
_OF_PLANS: Final = 7
_TABLE: Final = {row["kind"]: tuple(row["words"].split("|")) for row in table_rows("neutral_words.csv")}
_PREVENTED: Final = _TABLE["prevented"]
"""How the names of diseases begin against which there are vaccines."""
_DRUG_CLASSES: Final = frozenset(_TABLE["class"])
_ANSWERS: Final = frozenset(_TABLE["answer"])
"""What stands behind the name of a disease in a form: "Cancer: no"."""
_TELL_WHEN: Final = frozenset(_TABLE["when"])
_GO_ON: Final = frozenset(_TABLE["going_on"])
_QUALIFIERS: Final = frozenset(_TABLE["qualifier"])
_BREAKS: Final = frozenset(_TABLE["break"])
"""Words behind which a new part of the sentence stands: "esophagitis with bleeding ruled out"."""
_SHORTENED: Final = frozenset(_TABLE["abbreviation"])
_AFTER_A_LETTER: Final = frozenset(_TABLE["after_letter"])
"""Words of which the one before is often a letter: "chronic A. fib", "recurrent C. diff"."""
_AFTER_ORDINALS: Final = frozenset(_TABLE["after_ordinal"])
"""Words before which a number with a full stop is an ordinal in German: "39. SSW"."""
_FARTHEST: Final = 120
"""So many words and signs before a cue are looked at: signs that are passed over must not make a reading quadratic."""
_WHOLE_SENTENCE: Final = 12
"""A cue that looks back further does so across commas: "smoker, 1 ppd, quit 2012"."""


def tokens_of(text: str) -> list[Token]:
    """Return the words and signs of a text; "'s" is dropped."""
    # "İskemik inme": the small letter of the Turkish İ has two characters. "UC&S" is a culture and no colitis.
    lower = text.replace("İ", "i").lower().replace("c&s", "cxs")
    if "'" in lower or "\u2019" in lower:
        lower = re.sub("['\u2019]s\\b", "  ", lower)
    if len(lower) != len(text):  # a letter whose lower case is longer
        lower = "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
    return [Token(match[0], match.start(), match.end()) for match in _TOKEN.finditer(lower)]


_OF_VACCINES = re.compile(r"vacc?in|vacun|vaks|immuni|impf|booster|\b(?:jab|shot|toxoid)\b")


class _Cue(Struct, frozen=True, gc=False):
    words: tuple[str, ...]
    kind: str
    reach: int
    of_vaccines: bool


class _CueNode(Struct, gc=False):
    """A step in the trie of cues: the words that can follow, and the cues that end here."""

    following: dict[str, "_CueNode"] | None = None
    cues: tuple[_Cue, ...] = ()


def _read_cues(subject: Subject) -> _CueNode:
    root = _CueNode()
    for row in table_rows("assertion_cues.csv"):
        texts = row["words"].split("|") if subject in row["of"].split(";") else ()
        for text in dict.fromkeys((*texts, *map(without_accents, texts if subject == "allergy" else ()))):
            words = tuple(token.word for token in tokens_of(text))
            node = root
            for word in words:
                if node.following is None:
                    node.following = {}
                node = node.following.setdefault(word, _CueNode())
            names_vaccines = _OF_VACCINES.search(text) is not None
            node.cues += (_Cue(words, row["kind"], int(row["reach"] or _REACH), names_vaccines),)
    return root


_CUES: Final = {subject: _read_cues(subject) for subject in get_args(Subject)}


def cues_of_one_word(of: Subject) -> list[str]:
    """Return the words that deny, doubt, plan or tell of somebody else by themselves."""
    following = _CUES[of].following or {}
    kinds = ("negated", "possible", "hypothetical", "family", "other")
    return [word for word, node in following.items() if any(cue.kind.endswith(kinds) for cue in node.cues)]


_FORWARD = frozenset(
    {"negated", "possible", "hypothetical", "historical", "family", "other", "negated historical", "negated family"}
)
_ENDS = frozenset({")", ",", ".", ";", "\n"})
_END_HISTORY = frozenset({",", "with"})
_ALLERGY_NOUN = re.compile(
    r"allerg(?:y|ies|ien?|ia|ieën|i)|alergias?|unverträglichkeit|intolerance|(?:hyper)?sensitivity|reaction"
)
# "Family stroke" and "DM2; family: HTN", not "lives with family"; "Ruled out: PE", not "PE ruled out: CTA normal".
_ONLY_FIRST = frozenset(
    {("family",), ("neg",), ("negative",), ("ruled", "out"), ("ruled", "out", ":"), ("excluded", ":")}
)
_NO = frozenset({("no",), ("keine",), ("kein",), ("geen",), ("aucune",), ("nessuna",), ("sin",), ("sem",)})


class AssertedText:
    """A text with what is said of each of its words."""

    __slots__ = ("_cues", "_names_vaccines", "_people", "_polarities", "_times", "cue_tokens", "subject", "tokens")

    def __init__(self, text: str, *, names_vaccines: bool = False, of: Subject = "problem") -> None:
        """Read the text; where it `names_vaccines`, "zoster vaccine" is a name and says nothing of zoster."""
        self.subject: Final = of
        self._cues = _CUES[of]
        self.tokens: Final[Sequence[Token]] = tokens_of(text)
        self._names_vaccines = names_vaccines
        length = len(self.tokens)
        self._polarities: list[str] = ["affirmed"] * length
        self._times: list[str] = ["current"] * length
        self._people: list[str] = ["patient"] * length
        self.cue_tokens: set[int] = set()
        """The positions of the tokens that are cues themselves: no name of a disease begins with one."""
        self._read()

    def assertion(self, first: int, last: int) -> Assertion:
        """Return what is said of the tokens `first` to `last`: a denial or another person of any of them counts."""
        positions = range(first, min(last + 1, len(self.tokens)))
        polarity = _first_of(("negated", "possible", "hypothetical"), self._polarities, positions) or "affirmed"
        person = _first_of(("family", "other"), self._people, positions) or "patient"
        time = _first_of(("historical", "hypothetical"), self._times, positions) or "current"
        if polarity == "hypothetical":
            time = "hypothetical"
        elif person == "family" and polarity == "affirmed":
            time = "historical"
        return Assertion(cast("Polarity", polarity), cast("Temporality", time), cast("Person", person))

    def at(self, start: int, end: int) -> Assertion:
        """Return what is said of the characters from `start` to `end`."""
        positions = [position for position, token in enumerate(self.tokens) if token.start < end and token.end > start]
        return self.assertion(positions[0], positions[-1]) if positions else Assertion()

    def without_denied(self, text: str) -> str:
        """Return the text without the words that are denied or said of somebody else; what is only possible stays."""
        kept = list(text)
        for token, polarity, person in zip(self.tokens, self._polarities, self._people, strict=True):
            if polarity == "negated" or person != "patient":
                kept[token.start : token.end] = " " * (token.end - token.start)
        return "".join(kept)

    def is_all_denied(self, *, as_plan: bool = False) -> bool:
        """Whether all words but the cues are denied, doubted or said of somebody else: "PE ruled out 3/2026".

        Where a plan is coded (`as_plan`), "planned" and "possible" do not doubt it.
        """
        stated = ("affirmed", "hypothetical", "possible") if as_plan else ("affirmed",)
        asserted = zip(self.tokens, self._polarities, self._people, strict=True)
        is_of_patient = [
            polarity in stated and person == "patient"
            for position, (token, polarity, person) in enumerate(asserted)
            if token.word[0].isalpha() and position not in self.cue_tokens
        ]
        return bool(is_of_patient) and not any(is_of_patient)

    def _ends_drug(self, position: int) -> bool:
        """Whether a sign stands there behind the name of a drug."""
        is_sign = self.tokens[position].word in {":", "("} or self.ends_clause(position)
        before = self.tokens[position - 1].word
        return is_sign and self.subject == "problem" and (before in _DRUG_CLASSES or is_name_of_drug(before))

    def ends_clause(self, position: int) -> bool:
        """Whether a comma or a dash between spaces stands there."""
        token = self.tokens[position]
        if token.word == "-" and 0 < position < len(self.tokens) - 1:
            return self.tokens[position - 1].end < token.start and token.end < self.tokens[position + 1].start
        return token.word == ","

    def _read(self) -> None:
        active: dict[str, int] = {}  # kind of a cue: the last token that it reaches
        position, length = 0, len(self.tokens)
        while position < length:
            token = self.tokens[position]
            cue = self._cue_at(position) if token.word in (self._cues.following or ()) else None
            if cue is None:
                if self._is_boundary(position) or (
                    token.word == "," and self._cues is not _CUES["problem"] and not self._goes_on(position + 1)
                ):
                    active.clear()
                elif token.word in _END_HISTORY:
                    active.pop("historical", None)
                    active.pop("negated historical", None)
                if "negated" in active and self._ends_drug(position):
                    del active["negated"]  # "no NSAIDs: GI bleed", "do not give heparin - HIT"
                if active:
                    self._mark(position, active)
                position += 1
                continue
            self.cue_tokens.update(range(position, position + len(cue.words)))
            after = position + len(cue.words)
            if cue.kind == "patient":
                active.clear()
            elif cue.kind == "stop":
                active = {kind: reach for kind, reach in active.items() if kind in ("family", "other")}
            elif cue.kind.startswith("after "):
                self._mark_back(position, cue)
            elif cue.kind.startswith("around "):  # "GERD vs angina" doubts both
                self._mark_back(position, cue)
                active[cue.kind.removeprefix("around ")] = after + cue.reach
            elif cue.kind in _FORWARD:
                if cue.kind in ("family", "other"):
                    self._mark_person_before(position, cue.kind, after)
                active[cue.kind] = after + cue.reach
            for inside in range(position, after):
                self._mark(inside, active, only_people=cue.kind != "pseudo")
            position = after

    def _cue_at(self, position: int) -> _Cue | None:
        """Return the longest cue that begins here; at the end of a sentence's part one that looks back goes first."""
        first, looks_back_in_vain = None, False
        for cue in self._cues_from(position):
            if first is not None and len(cue.words) < len(first.words) and not looks_back_in_vain:
                break
            if self._names_vaccines and cue.of_vaccines:
                continue
            if self._fits(cue, position):
                end = position + len(cue.words)
                # "DVT ruled out on CT" speaks of what stands before, "r/o AV block" does not.
                is_last = self._is_end(end) or (position > 0 and self._tells_when(position, end))
                is_last = is_last or self._is_end(self._after_brackets(end))
                if not is_last and cue.words[0] in ":?-=" and cue.words[-1] in _ANSWERS:
                    continue  # "Cancer: no" answers, "PMH: no cancer" does not
                if first is None or cue.kind.startswith("after") == is_last:
                    first = cue
                    # "R/o complete heart block" begins with what would look back: nothing stands before it.
                    looks_back_in_vain = cue.kind.startswith("after") and position == 0
                    looks_back_in_vain |= self.subject == "allergy" and cue.kind == "after negated" and not is_last
        return first

    def _is_end(self, position: int) -> bool:
        return position >= len(self.tokens) or self.tokens[position].word in _ENDS

    def _after_brackets(self, position: int) -> int:
        """Return where brackets that open here have closed: "pregnancy, resolved (SVD 2019)"."""
        if position > 1 and self.tokens[position].word == "(":
            for end in range(position + 1, len(self.tokens)):
                if self.tokens[end].word == ")":
                    return end + 1
        return position

    def _goes_on(self, position: int) -> bool:
        """Whether a list goes on there: "no drug allergies, incl. penicillin"."""
        return position < len(self.tokens) and self.tokens[position].word in _GO_ON

    def _tells_when(self, start: int, end: int) -> bool:
        """Whether a date stands behind a cue ("refuted 3/23", "sepsis, resolved 2022"), or "in", "by" in its clause.

        A clause that begins with the cue may be of what follows: "PMH, r/o after trauma".
        """
        word, *following = (token.word for token in self.tokens[end : end + 2])
        is_date = word.isdigit() and (len(word) == 4 or following == ["/"])
        return is_date or (word in _TELL_WHEN and self.tokens[start - 1].word not in _ENDS)

    def _cues_from(self, position: int) -> Iterable[_Cue]:
        """Return the cues whose words stand here, longest first: one walk down the trie, whatever the table holds."""
        following = self._cues.following
        ends: list[tuple[_Cue, ...]] = []
        for index in range(position, len(self.tokens)):
            node = following.get(self.tokens[index].word) if following is not None else None
            if node is None:
                break
            if node.cues:
                ends.append(node.cues)
            following = node.following
        return chain.from_iterable(reversed(ends)) if ends else ()

    def _fits(self, cue: _Cue, position: int) -> bool:
        """Whether a sign is one of a sign list: "edema -" or "(-) JVD", not the hyphen of "follow-up"."""
        if cue.words in (("-",), ("+",)):
            token = self.tokens[position]
            before = self.tokens[position - 1] if position else None
            behind = self.tokens[position + 1] if position + 1 < len(self.tokens) else None
            spaced = before is not None and before.end < token.start
            return spaced and (behind is None or behind.word in {",", ".", ";", "\n"})
        if cue.words == ("?",):
            is_last = position + 1 == len(self.tokens) or self.tokens[position + 1].word in _ENDS
            is_behind = position > 0 and (is_last or self.tokens[position - 1].end == self.tokens[position].start)
            return is_behind == cue.kind.startswith("after")
        if cue.words in _ONLY_FIRST and cue.kind in _FORWARD:
            return position == 0 or self._is_boundary(position - 1) or self.tokens[position - 1].word == ","
        if cue.kind == "after family" and cue.words[0] == "-":  # "peanut - father", not "sulfa - mom reports a rash"
            end = position + len(cue.words)
            return end == len(self.tokens) or self.tokens[end].word in _ENDS
        if self._cues is _CUES["allergy"] and cue.words in _NO:
            return self._names_an_allergy(position + len(cue.words))
        return True

    def _names_an_allergy(self, position: int) -> bool:
        """Whether words, and no sign, lead to "allergy": "no penicillin allergy", not "no NSAIDs - allergy"."""
        end = self.tokens[position].start if position < len(self.tokens) else 0
        for token in self.tokens[position : position + 5]:
            if _ALLERGY_NOUN.fullmatch(token.word):
                return True
            if not token.word[0].isalnum() and (token.word != "-" or token.start != end):
                return False
            end = token.end
        return False

    def _is_boundary(self, position: int) -> bool:
        word = self.tokens[position].word
        if word in {"\n", ";"}:
            return True
        if word == ".":
            # "St. Jude", "vs. ": a full stop behind a short abbreviation ends nothing.
            return not ends_abbreviation(self.tokens, position)
        if word == ")":
            return position > 0 and self.tokens[position - 1].word.isdigit() and not self._opened(position)
        return False

    def _opened(self, position: int) -> bool:
        return position > 1 and self.tokens[position - 2].word == "("

    def _mark(self, position: int, active: dict[str, int], *, only_people: bool = False) -> None:
        for kind, last in active.items():
            if position >= last:
                continue
            if kind == "negated family":
                self._people[position], self._polarities[position] = "family", "negated"
            elif kind in ("family", "other"):
                self._people[position] = kind
            elif only_people:
                continue
            elif kind == "historical":
                self._times[position] = "historical"
            elif kind == "negated historical":
                self._polarities[position], self._times[position] = "negated", "historical"
            elif self._polarities[position] == "affirmed":
                self._polarities[position] = kind

    def _mark_back(self, position: int, cue: _Cue) -> None:
        """Mark the words before a cue, up to a sign or a cue that begins a new part of the sentence."""
        kind = cue.kind.partition(" ")[2]
        if cue.reach == _OF_TOPICS and self.ends_clause(position - 1) and not self._has_topic_before(cue, position):
            return  # "gout, diet sheet given", "asplenia - vaccinated"
        for before in islice(self._words_before(position, cue.reach), cue.reach):
            if kind == "historical":
                self._times[before] = "historical"
            elif kind in ("family", "other"):
                self._people[before] = kind
            elif kind == "affirmed":
                self._polarities[before] = "affirmed"
            elif kind == "current":
                self._times[before] = "current"
            elif self._polarities[before] in ("affirmed", "possible"):
                self._polarities[before] = kind

    def _has_topic_before(self, cue: _Cue, position: int) -> bool:
        """Whether what stands before the sign is what a cue speaks of: "hepatitis B, vaccinated"."""
        if cue.of_vaccines:
            return any(token.word.startswith(_PREVENTED) for token in self.tokens[max(0, position - 4) : position])
        return cue.kind.startswith("around") and self._is_end(position + len(cue.words))

    def _words_before(self, position: int, reach: int = 0, *, is_set_off: bool = False) -> Iterator[int]:
        opened = 0
        only_qualifies = True
        while self.subject == "allergy" and position - 1 in self.cue_tokens:
            position -= 1  # "PCN (patient states not allergic)"
        # What is set off by a sign speaks of the whole name before it: "dementia with agitation - ruled out".
        is_set_off |= self.tokens[position].word == "?" or self.tokens[max(0, position - 1)].word in {"-", "(", ":"}
        for before in range(position - 1, max(-1, position - 1 - _FARTHEST), -1):
            word = self.tokens[before].word
            if word in {"(", "-", ":", ","} and before == position - 1:
                continue
            if word in {")", "]"}:
                opened += 1
                continue
            if word in {"(", "["} and opened:
                opened -= 1
                continue
            if word == "," and (reach > _WHOLE_SENTENCE or only_qualifies):
                continue  # "opioid use disorder, mild - ruled out"
            if reach in (_OF_TOPICS, _OF_PLANS) and word == "-" and self.ends_clause(before):
                return  # "myasthenia - see clinic letter"
            if word in {",", "(", "[", "+"} or self._is_boundary(before) or (word in _BREAKS and not is_set_off):
                return
            only_qualifies = only_qualifies and (bool(opened) or word in _QUALIFIERS or word.isdigit())
            yield before

    def _mark_person_before(self, position: int, kind: str, after: int) -> None:
        """Mark what stands before a relative: "breast cancer (sister)", "stroke in mother", "DVT - father"."""
        if position == 0:
            return
        previous = self.tokens[position - 1].word
        ends = after >= len(self.tokens) or self.tokens[after].word in {")", ".", ";", ",", "\n"}
        if previous in {"(", "-", ",", ":"} and not ends:
            return
        if previous in {"(", "-", ",", ":", "in", "of", "her", "his"} or ends:
            start = position - 1 if previous in {"(", "-", ",", ":", "in", "of"} else position
            if previous in {"her", "his"} and position > 1 and self.tokens[position - 2].word in {"in", "of"}:
                start = position - 2
            is_set_off = previous in {"(", "-", ","}
            for before in islice(self._words_before(start, is_set_off=is_set_off), _REACH):
                self._people[before] = kind


def ends_abbreviation(tokens: Sequence[Token], position: int) -> bool:
    """Whether the full stop at `position` stands behind an abbreviation: "St. Jude", "A. fib", "V.a.", "39. SSW".

    A letter is one only at the beginning of a part, or in a name: "hepatitis C. No DVT" has two sentences.
    """
    before = tokens[position - 1].word if position else ""
    if len(before) == 1 and before.isalpha():
        first = position - 1
        if position + 1 < len(tokens) and tokens[position + 1].word in _AFTER_A_LETTER:
            return True
        return first == 0 or tokens[first - 1].word in _ENDS or tokens[first - 1].word in {"(", "-", "/", ":", "?"}
    is_numeral = (before.isdigit() and len(before) < 3) or before in ("i", "ii", "iii", "iv")
    if is_numeral and position + 1 < len(tokens):
        return tokens[position + 1].word in _AFTER_ORDINALS
    is_number = position + 1 < len(tokens) and tokens[position + 1].word.isdigit()
    return before in _SHORTENED or (before == "ca" and is_number)  # circa


def _first_of(kinds: Sequence[str], marks: Sequence[str], positions: range) -> str | None:
    marked = {marks[position] for position in positions}
    return next((kind for kind in kinds if kind in marked), None)


_BESIDE: Final = 160


def states(pattern: re.Pattern[str], words: str) -> bool:
    """Whether the first place where a pattern matches is said of the patient."""
    match = pattern.search(words)
    return match is not None and is_of_patient(words, match.start())


def is_of_patient(words: str, start: int, *, names_vaccines: bool = False) -> bool:
    """Whether what stands at `start` of a text is said of the patient and neither denied nor doubted nor planned.

    >>> is_of_patient("Family history of breast cancer", 18), is_of_patient("History of breast cancer", 11)
    (False, True)
    >>> is_of_patient("Esophagitis - ruled out", 0), is_of_patient("NSTEMI, embolism ruled out", 0)
    (False, True)
    """
    first = max(0, start - _BESIDE)
    text = AssertedText(words[first : start + _BESIDE], names_vaccines=names_vaccines)
    return text.at(start - first, start - first + 1).is_of_patient
