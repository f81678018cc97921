"""Lean FHIR R4 data types: dates and times, decimals, codes, references, quantities, timings and dosages.

Each type has the elements that are read. `gc=False` keeps thousands of small objects out of the garbage collector; they
hold no cycles. A date or time keeps its text as charted, an instant to compare by, and its precision.

Decimals come back as they were written: a resource that is returned holds 1.10 where 1.10 came. FHIR R4 (datatypes,
decimal) asks for it: the precision of a decimal is part of its value, trailing zeros included.

Text of a chart is data of others: how long it may be, how it is shortened, and how it is shown where it is not
Markdown. It may hold HTML, Markdown, signs that nobody sees and signs that turn the direction of writing, and it may be
endless. For the details of cards, which are Markdown, `cards/text.py` escapes it.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import isinf
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta, Struct

from fhir.terminology.semantic_tags import without_tag

LONGEST_TEXT = 2000
"""The most characters of one text of a chart; `fhir/record/record.py` cuts a longer one and says so.

The longest text of the sample charts has 426.
"""

ChartText: TypeAlias = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""A text as it was charted: the decoder checks its length, so no reader is ever handed an endless one."""

_RUN: Final = re.compile(r"\s{2,}")
_BLANKS: Final = re.compile(b"  +")
_TWO_BLANKS: Final = int.from_bytes(b"  ")
_FEW_BYTES: Final = 4096
"""So many are looked through faster than an array is made of them."""
_FEW_RUNS: Final = 100
_SPACES: Final = (b" ", b"\\n", b"\\t", b"\\r", b"\\f")
_MANY_ESCAPES: Final = 1000
"""From here on looking at each escape takes longer than looking for each pair of them."""
# White space beyond ASCII, in UTF-8: U+0085, U+00A0, U+1680, U+2000 to U+205F, U+3000.
_LEADS: Final = (
    (b"\xc2", (b"\xc2\x85", b"\xc2\xa0")),
    (b"\xe1", (b"\xe1\x9a\x80",)),
    (b"\xe2", (b"\xe2\x80", b"\xe2\x81")),
    (b"\xe3", (b"\xe3\x80\x80",)),
)


def may_hold_runs(raw: bytes) -> bool:
    """Whether a text in this JSON may hold white space beside white space, which `collapse_runs` then collapses.

    No reader of text is then asked about a run of blanks, for which a pattern such as `\\s+$` takes quadratic time. The
    usual body has no line break and is looked through for two blanks only. One sign is looked for ten times as fast as
    two, and so it is looked for first.
    """
    lines = raw.split(b"\n") if b"\n" in raw and (b"\n " in raw or b"\n\t" in raw) else [raw]
    if any(b"  " in line.strip() for line in lines) if len(lines) > 1 else _has_two_blanks(raw):
        return True
    if b"\\" in raw and _may_hold_escaped_runs(raw):
        return True
    return not raw.isascii() and any(lead in raw and any(sign in raw for sign in signs) for lead, signs in _LEADS)


def _has_two_blanks(raw: bytes) -> bool:
    """Whether a blank stands beside a blank; a long body is looked through much faster as an array."""
    return b"  " in raw if len(raw) < _FEW_BYTES else any(pairs.any() for pairs in _pairs_of_blanks(raw))


def _pairs_of_blanks(raw: bytes) -> tuple[Any, Any]:
    """Return where two bytes are both blanks, of those that begin at even places and of those at odd ones.

    Two bytes at once: 27 µs for 526 KB, and 365 with an array of single bytes, whose memory is asked of the system each
    time (`python -m timeit`).
    """
    even, odd = np.frombuffer(raw, np.uint16, len(raw) // 2), np.frombuffer(raw, np.uint16, (len(raw) - 1) // 2, 1)
    return even == _TWO_BLANKS, odd == _TWO_BLANKS


def with_single_blanks(raw: bytes) -> bytes:
    """Return the JSON with one blank for each run of blanks, which is what `collapse_runs` makes of it in a text.

    A resource with a run is then not encoded and decoded again, which takes 0.1 ms of an order-select at 68 KB. Few
    runs are cut out one by one: 9 µs for 75 KB, and 35 where a pattern looks for them.
    """
    if not _has_two_blanks(raw):
        return raw
    even, odd = (pairs.nonzero()[0] for pairs in _pairs_of_blanks(raw))
    if len(even) + len(odd) > _FEW_RUNS:
        return _BLANKS.sub(b" ", raw)
    doubled = sorted([*(2 * even).tolist(), *(2 * odd + 1).tolist()])
    return b"".join([raw[start + 1 : end] for start, end in pairwise((-1, *doubled, len(raw)))])


def _may_hold_escaped_runs(raw: bytes) -> bool:
    """Return the same of white space that is written as an escape, such as a line break in a text."""
    if raw.count(b"\\") > _MANY_ESCAPES:
        spaces = [space for space in _SPACES if space in raw]
        return b"\\u" in raw or any(first + second in raw for first in spaces for second in spaces)
    start = raw.find(b"\\")
    while start >= 0:
        after = start + 2
        if raw[start + 1 : after] == b"u":
            return True
        if raw[start:after] in _SPACES and (raw[start - 1 : start] == b" " or raw.startswith(_SPACES, after)):
            return True
        start = raw.find(b"\\", after)
    return False


def collapse_runs(value: Any) -> Any:
    """Return the same JSON value with the runs of white space in its texts collapsed.

    A run with a line break becomes a line break, any other a blank.

    >>> collapse_runs({"text": "1  tablet \\n\\n daily"})
    {'text': '1 tablet\\ndaily'}
    """
    return map_texts(lambda text: _RUN.sub(_shorter_run, text), value)


def map_texts(change: Callable[[str], str], value: Any) -> Any:
    """Return the same JSON value with every text changed; names of members stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_texts(change, element) for element in value]
    if isinstance(value, dict):
        return {name: map_texts(change, element) for name, element in value.items()}
    return value


def _shorter_run(run: re.Match[str]) -> str:
    return "\n" if "\n" in run[0] or "\r" in run[0] else " "


LIMIT = 80
"""The longest inserted string in code points; what is cut off is marked with an ellipsis."""

# Cc control, Cf format (bidi overrides, zero-width), Cs surrogates, Co private use: none of them is a clinician's word.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co"})
_ANGLES = str.maketrans("<>", "‹›")
_QUOTED = 20


def plain(text: str, limit: int = LIMIT) -> str:
    """Return the text on one line for a summary or a label, which are not Markdown.

    >>> plain("Metformin\\u202e\\n <b>500</b> mg")
    'Metformin ‹b›500‹/b› mg'
    >>> plain("Anemia (disorder)")
    'Anemia'
    """
    text = without_tag(text) if ")" in text else text
    if text.isprintable() and len(text) <= limit and "<" not in text and ">" not in text:
        return " ".join(text.split())
    if not text.isprintable():  # nothing that is printable is unseen, nor white space other than the blank
        text = "".join(" " if sign.isspace() else sign for sign in text if sign.isspace() or not _is_unseen(sign))
    line = " ".join(text.split()).translate(_ANGLES)
    return line if len(line) <= limit else f"{_whole_words(line, limit - 1).rstrip(' ,;:')}…"


def _whole_words(line: str, limit: int) -> str:
    """Return the words of the line that have room; one that fills more than half of it is cut."""
    words = line[: limit + 1].rpartition(" ")[0]
    return words if 2 * len(words) > limit else line[:limit]


def first_few(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return the first names, and how many more there are.

    >>> first_few(["aspirin", "ibuprofen", "warfarin"], 2), first_few(["aspirin"], 2)
    ('aspirin, ibuprofen and 1 more', 'aspirin')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{separator.join(names[:most])}{more}"


def without_hidden(text: str) -> str:
    """Return the text without the signs that nobody sees; line breaks stay.

    >>> without_hidden("a\\u202eb\\nc")
    'ab\\nc'
    """
    if text.isprintable():
        return text
    return "".join(sign for sign in text if sign in "\n\t" or not (_is_unseen(sign) or sign in "\u2028\u2029"))


def quoted(text: str, limit: int = _QUOTED) -> str:
    """Return the text in quotation marks, for a sentence that says what was charted.

    Not `repr`: it would double a backslash of the chart, and write the name of a sign that nobody sees.

    >>> quoted("mg<b>\\u202e")
    "'mg‹b›'"
    """
    return f"'{plain(text, limit)}'"


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN


Precision = Literal["year", "month", "day", "instant"]

_Day: TypeAlias = date  # FhirTime has a member of that name

DAY_SECONDS = 86_400.0
# A date without a time is true somewhere between UTC+14 and UTC-12.
_ZONE_SLACK_SECONDS = 14 * 3600.0
_CLOCK_SLACK_SECONDS = 300.0
_DAY_CHARACTERS = len("2026-11-20")
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class FhirTime(Struct, frozen=True, gc=False):
    """A point in time: `instant` is the epoch second (UTC) at which it begins, `text` is what the chart says."""

    instant: float
    text: str
    precision: Precision

    @property
    def date(self) -> str:
        """The day as the chart writes it (YYYY-MM-DD), or the shorter YYYY-MM or YYYY when no day was given."""
        return self.text[:10]

    @property
    def first_day(self) -> _Day:
        """The first day that it can mean: of a month or a year the first."""
        return date.fromisoformat(f"{self.date}-01-01"[:10])

    @property
    def last_day(self) -> _Day:
        """The last day that it can mean: of a month or a year the last."""
        first = self.first_day
        if self.precision == "year":
            return date(first.year, 12, 31)
        if self.precision == "month":
            return date(first.year, first.month, monthrange(first.year, first.month)[1])
        return first

    def age_days(self, as_of_epoch: float) -> float:
        """Days from its beginning to `as_of_epoch`, never negative: a year-only date counts from 1 January."""
        return max(0.0, (as_of_epoch - self.instant) / DAY_SECONDS)

    def whole_days(self, as_of_epoch: float) -> int:
        """Completed days to `as_of_epoch`, as every window of days counts: 7 days and 5 hours ago is in the last 7."""
        return max(0, int((as_of_epoch - self.instant) / DAY_SECONDS))

    def completed_months(self, today: _Day) -> int | None:
        """Completed months from it to a day; None where only its year is known."""
        if self.precision == "year":
            return None
        year, month, day = int(self.text[:4]), int(self.text[5:7]), int(self.text[8:10] or 1)
        return (today.year - year) * 12 + today.month - month - (today.day < day)

    def is_later_than(self, other: FhirTime) -> bool:
        """Whether it came after another time for certain: a day alone only if it is a later day."""
        if self.precision == other.precision == "instant":
            return self.instant > other.instant
        return self.first_day > other.last_day

    def is_after(self, as_of_epoch: float) -> bool:
        """Whether it lies in the future, time zones and small clock differences allowed for."""
        slack = _CLOCK_SLACK_SECONDS if self.precision == "instant" else _ZONE_SLACK_SECONDS
        return self.instant > as_of_epoch + slack

    def is_within(self, days: float, as_of_epoch: float) -> bool:
        """Whether it lies in so many completed days before `as_of_epoch`, and not after it."""
        return not self.is_after(as_of_epoch) and self.whole_days(as_of_epoch) <= days


def parse_time(text: str | None) -> FhirTime | None:
    """Return the time a FHIR date, dateTime or instant names; None when it is none of them.

    A time of day without an offset (which FHIR forbids) counts with the precision of a day.

    >>> parse_time("2026-11").precision
    'month'
    >>> parse_time("yesterday") is None
    True
    """
    if not text:
        return None
    try:
        size = len(text)
        if size == _DAY_CHARACTERS:
            return _day(text, text, "day")
        if size > _DAY_CHARACTERS and text[_DAY_CHARACTERS] == "T":
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return FhirTime(moment.timestamp(), text, "instant")
            return _day(text[:_DAY_CHARACTERS], text[:_DAY_CHARACTERS], "day")
        if size == 7:
            return _day(f"{text}-01", text, "month")
        return _day(f"{text}-01-01", text, "year") if size == 4 else None
    except (ValueError, OverflowError):
        return None


def two_days_before(day: str) -> str | None:
    """Return the day two days earlier as text; None for what is no day.

    >>> two_days_before("2026-03-01"), two_days_before("2026-03")
    ('2026-02-27', None)
    """
    try:
        return (date.fromisoformat(day) - timedelta(days=2)).isoformat() if len(day) == 10 else None
    except (ValueError, OverflowError):
        return None


def _day(day: str, text: str, precision: Precision) -> FhirTime | None:
    if day[7] != "-":  # "2026-W45-1" is a day of a week, which FHIR does not have
        return None
    epoch = (date.fromisoformat(day).toordinal() - _EPOCH_DAY) * DAY_SECONDS
    return FhirTime(epoch, text, precision)


class ExactDecimal(float):
    """A number that is calculated with as a float and written as the text that it came as."""

    __slots__ = ("text",)
    text: str

    @classmethod
    def of(cls, text: str) -> Self:
        """From the text of a JSON number."""
        value = cls(text)
        value.text = text
        return value

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: a number does not change."""
        return self


def _decimal(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError("a number is larger than 64 bits can hold")
    return value if repr(value) == text else ExactDecimal.of(text)


def write_decimal(value: object) -> msgspec.Raw:
    """Write an exact decimal: the `enc_hook` of encoders that may meet one, which ask it about nothing else known."""
    if isinstance(value, ExactDecimal):
        return msgspec.Raw(value.text.encode())
    raise NotImplementedError(f"{type(value).__name__} is not written as JSON")


_exact_decoder: Final = msgspec.json.Decoder(float_hook=_decimal)
_exact_encoder: Final = msgspec.json.Encoder(enc_hook=write_decimal)


def decode_exactly(text: bytes | msgspec.Raw) -> Any:
    """Return the JSON value; numbers that a float would not give back as they were written are `ExactDecimal`.

    Raises:
        msgspec.DecodeError: It is not JSON, or a number is beyond 64 bits.
        RecursionError: It is nested too deeply.
    """
    return _exact_decoder.decode(text)


def as_json_value(value: Any) -> Any:
    """Return a struct as objects and lists, as `msgspec.to_builtins` makes them, which knows no exact decimals."""
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return decode_exactly(_exact_encoder.encode(value))


def with_plain_numbers(value: Any) -> Any:
    """Return a copy of a JSON value in which every number is an ordinary one, for readers that know no other."""
    return msgspec.json.decode(_exact_encoder.encode(value))


class Element(Struct, frozen=True, gc=False, omit_defaults=True):
    """Base class of the lean types; written as JSON they leave out what is not there."""


NoModifiers: TypeAlias = Annotated[tuple[msgspec.Raw, ...], Meta(max_length=0)]
"""What `modifierExtension` must be: FHIR R4 (extensibility, 2.4.0.1) forbids to process a resource that has one which
is not understood, because it can reverse what the resource says. The decoder rejects any, so that it is said."""


class BackboneElement(Element, frozen=True, gc=False, kw_only=True):
    """Base class of the parts of a resource that can carry a `modifierExtension`."""

    modifierExtension: NoModifiers = ()


class Version(Element, frozen=True, gc=False):
    """Which version of a resource it is: `meta`."""

    versionId: ChartText | None = None
    lastUpdated: ChartText | None = None


class LeanResource(Element, frozen=True, gc=False, kw_only=True, tag_field="resourceType"):
    """Base class of the resources, which `resourceType` tells apart."""

    meta: Version | None = None
    modifierExtension: NoModifiers = ()


class ChartResource(LeanResource, frozen=True, gc=False, kw_only=True):
    """Base class of the resources of a chart, which evidence names."""

    id: ChartText | None = None

    @property
    def source(self) -> str:
        """Its type and id, or that it has none.

        >>> ChartResource(id="7").source, ChartResource().source
        ('ChartResource/7', 'ChartResource without id')
        """
        kind = type(self).__name__
        return f"{kind}/{self.id}" if self.id else f"{kind} without id"

    @property
    def called(self) -> str:
        """The same within a sentence: "a Condition without id"."""
        return self.source if self.id else f"a {self.source}"


class Coding(Element, frozen=True, gc=False):
    """A code of a code system; `system` None means that the sender did not name one."""

    system: ChartText | None = None
    code: ChartText = ""
    display: ChartText = ""
    extension: tuple[CodingExtension, ...] = ()


class CodingExtension(Element, frozen=True, gc=False):
    """What is said of a code beside it, such as how sure a diagnosis is (German charts)."""

    url: ChartText = ""
    valueCoding: Coding | None = None


class CodeableConcept(Element, frozen=True, gc=False):
    """A concept as codes and text, either of which may be missing."""

    coding: tuple[Coding, ...] = ()
    text: ChartText = ""

    @property
    def words(self) -> str:
        """What a person reads: the text, else the first display, else the first code, else ''."""
        if self.text:
            return self.text
        for coding in self.coding:
            if coding.display:
                return coding.display
        return next((coding.code for coding in self.coding if coding.code), "")

    @property
    def texts(self) -> tuple[str, ...]:
        """The text and every display, each once."""
        return tuple(dict.fromkeys(filter(None, (self.text, *[coding.display for coding in self.coding]))))

    def has(self, code: str) -> bool:
        """Whether any coding carries this code, whatever its system (for closed value sets such as status codes)."""
        for coding in self.coding:  # noqa: SIM110 - a generator costs twice as much as what it looks through
            if coding.code == code:
                return True
        return False


class R4Concept(CodeableConcept, frozen=True, gc=False):
    """A concept where R5 has one with a reference beside it: the decoder rejects that form (`repair.py` reads it)."""

    concept: None = None


class Subject(Element, frozen=True, gc=False):
    """A reference to the patient whom a resource is about."""

    reference: ChartText | None = None


class Identifier(Element, frozen=True, gc=False):
    """A business identifier."""

    system: ChartText | None = None
    value: ChartText | None = None


class Reference(Element, frozen=True, gc=False):
    """A reference to another resource."""

    reference: ChartText = ""
    display: ChartText = ""
    identifier: Identifier | None = None


class Period(Element, frozen=True, gc=False):
    """A span of time, either end of which may be open."""

    start: ChartText | None = None
    end: ChartText | None = None

    @property
    def begin(self) -> FhirTime | None:
        """When it begins, where that is said and can be read."""
        return parse_time(self.start)

    @property
    def finish(self) -> FhirTime | None:
        """When it ends, where that is said and can be read."""
        return parse_time(self.end)


class Quantity(Element, frozen=True, gc=False):
    """A number with its unit: `code` is for machines (UCUM), `unit` is what a person reads."""

    value: float | None = None
    comparator: ChartText = ""
    unit: ChartText = ""
    code: ChartText = ""


class Range(Element, frozen=True, gc=False):
    """A low and a high quantity."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Element, frozen=True, gc=False):
    """A quantity per a quantity."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Annotation(Element, frozen=True, gc=False):
    """A note."""

    text: ChartText = ""


class TimingRepeat(Element, frozen=True, gc=False):
    """When an event repeats."""

    boundsDuration: Quantity | None = None
    boundsPeriod: Period | None = None
    boundsRange: Range | None = None
    count: int | None = None
    countMax: int | None = None
    frequency: int | None = None
    frequencyMax: int | None = None
    period: float | None = None
    periodMax: float | None = None
    periodUnit: ChartText | None = None
    duration: float | None = None
    durationMax: float | None = None
    durationUnit: ChartText | None = None
    dayOfWeek: tuple[ChartText, ...] = ()
    timeOfDay: tuple[ChartText, ...] = ()
    when: tuple[ChartText, ...] = ()


class Timing(BackboneElement, frozen=True, gc=False):
    """When and how often something is done."""

    event: tuple[ChartText, ...] = ()
    repeat: TimingRepeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Element, frozen=True, gc=False):
    """The dose or rate of one administration."""

    type: CodeableConcept | None = None
    doseQuantity: Quantity | None = None
    doseRange: Range | None = None
    rateQuantity: Quantity | None = None
    rateRange: Range | None = None
    rateRatio: Ratio | None = None


class Dosage(BackboneElement, frozen=True, gc=False):
    """How a medication is taken."""

    sequence: int | None = None
    text: ChartText = ""
    patientInstruction: ChartText = ""
    additionalInstruction: tuple[CodeableConcept, ...] = ()
    timing: Timing | None = None
    asNeededBoolean: bool | None = None
    asNeededCodeableConcept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    doseAndRate: tuple[DoseAndRate, ...] = ()
    maxDosePerPeriod: Ratio | None = None
    maxDosePerAdministration: Quantity | None = None
    maxDosePerLifetime: Quantity | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """What it says in words: its text, then what is said to the patient."""
        texts = (self.text, self.patientInstruction, *[more.words for more in self.additionalInstruction])
        return tuple(filter(None, texts))
