"""Searches one chart: quotes the entries and the lines of notes that a question names, each with its place.

Nothing is said in words of its own: no "yes", no "no", no conclusion. A question may name a test, a drug, a class of
drugs, a finding, an allergy, the family, or a list of these. What no entry names is listed as not found, because an
absent entry is no answer.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

import fhir.notes
from cds_hooks.add_ons.text.chart import ChartNote, Fact, Kind, ReadableChart, Resource, read_chart, shown
from fhir.notes.findings import Finding
from fhir.notes.reading import read_note
from fhir.terminology.allergens import Allergen, allergen_of_words
from fhir.terminology.medication_names import names_in_text, read_name
from fhir.terminology.medications import atc_codes


class Passage(Struct, frozen=True):
    """A quotation from a chart and the resource in which it stands."""

    text: str
    source: str


class ChartAnswer(Struct, frozen=True):
    """The passages that a question names; `text` quotes them, or says why there are none.

    "partial": some of what the question names is not found, and the text says what. "referred": another part of the
    server answers that, such as the explanation of a score.
    """

    status: Literal["answered", "partial", "abstained", "referred"]
    text: str
    cites: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()


_NOT_FOUND: Final = ChartAnswer("abstained", "No entry of the chart names what is asked for.")
_RISK: Final = re.compile(
    r"\b(?:risk|chance|probability|likelihood|prognosis|survive|survival|life expectancy|die|death|mortality|score)\b",
    re.IGNORECASE,
)
_ADVICE: Final = re.compile(
    r"\b(?:should|recommend|advise|suggest|ought|would you|can (?:i|we|she|he) (?:give|start|stop|have|take)|prescribe"
    r"|approve|order|safe to|ignore|instruction|pretend|delete|change|write|send|best (?:drug|treatment|dose)"
    r"|what dose (?:to|would))\b",
    re.IGNORECASE,
)
_TREND: Final = re.compile(
    r"\b(?:since|fall(?:en|ing)?|rise|risen|rising|trend|chang\w*|worse\w*|better|improv\w*|over time|compar\w*|went"
    r"|go(?:ne|ing)|earlier|previous\w*|before|drop\w*|increas\w*|decreas\w*|declin\w*|history of)\b",
    re.IGNORECASE,
)
_FAMILY: Final = re.compile(
    r"\b(?:family|relatives?|mother|father|sister|brother|parents?|sibling|aunt|uncle|mum|dad|mom|hereditary|inherited"
    r"|runs in)\b",
    re.IGNORECASE,
)
_CLASSES: Final = (
    (r"antibiotics?|antibacterials?", ("J01",)),
    (r"anticoagul\w+|blood thinners?|doacs?|noacs?", ("B01AA", "B01AB", "B01AE", "B01AF")),
    (r"antiplatelets?", ("B01AC",)),
    (r"ace[- ]?inhibitors?|acei", ("C09A", "C09B")),
    (r"angiotensin receptor blockers?|arbs?|sartans?", ("C09C", "C09D")),
    (r"beta[- ]?blockers?", ("C07",)),
    (r"diuretics?|water tablets?", ("C03",)),
    (r"statins?|cholesterol (?:tablet|drug|medicine)s?", ("C10AA",)),
    (r"calcium channel blockers?", ("C08",)),
    (r"blood pressure (?:tablet|drug|medicine|medication)s?|antihypertensives?", ("C02", "C03", "C07", "C08", "C09")),
    (r"antidepressants?|ssris?", ("N06A",)),
    (r"opioids?|opiates?", ("N02A",)),
    (r"painkillers?|analgesics?|pain (?:relief|medication)", ("N02", "M01A")),
    (r"steroids?|corticosteroids?", ("H02",)),
    (r"nsaids?|anti-inflammator\w+", ("M01A",)),
    (r"ppis?|proton pump inhibitors?", ("A02BC",)),
    (r"insulins?", ("A10A",)),
    (r"(?:diabetes|diabetic|glucose[- ]lowering) (?:drug|tablet|medicine|medication|treatment)s?", ("A10",)),
    (r"antipsychotics?", ("N05A",)),
    (r"bisphosphonates?|bone (?:protection|drug|medicine)s?", ("M05B",)),
    (r"laxatives?", ("A06",)),
    (r"inhalers?", ("R03",)),
    (r"anti-?epileptics?|anticonvulsants?", ("N03",)),
    (r"thyroid (?:drug|tablet|medicine|medication|replacement|hormone)s?", ("H03",)),
    (r"chemotherapy|aromatase inhibitors?|hormone (?:therapy|treatment)", ("L01", "L02")),
)
_SYNONYMS: Final = {
    "kidney function": "egfr",
    "renal function": "egfr",
    "kidneys": "egfr",
    "thyroid function": "tsh",
    "sugar control": "hba1c",
    "diabetic control": "hba1c",
    "ejection fraction": "lvef",
    "blood count": "haemoglobin",
    "clotting": "inr",
    "liver function": "alt",
}
_ALLERGY: Final = re.compile(r"\b(?:allerg\w*|intoleran\w*|react(?:s|ed|ions?)? to)\b", re.IGNORECASE)
_ASKING: Final = re.compile(
    r"\b(?:any|has|have|had|is|are|does|do|he|she|they|the|to|known|what|which|list|of|patient|drugs?|there|a|an)\b|\?",
    re.IGNORECASE,
)
_LISTS: Final[tuple[tuple[str, tuple[Kind, ...]], ...]] = (
    (
        r"(?:which|what) (?:drugs?|medicines?|medications?|tablets?) (?:were|was|has|have) (?:been )?(?:stopped"
        r"|discontinued)|stopped (?:drugs?|medicines?)|what was stopped",
        ("stopped",),
    ),
    (r"medications?|medicines?|drugs?|tablets?|meds|taking|takes|treatment", ("drug",)),
    (r"operations?|surgery|surgeries|procedures?", ("procedure",)),
    (r"past (?:medical )?(?:history|problems)", ("past",)),
    (r"problems?|diagnos\w+|conditions?|comorbidit\w+|suffers?|wrong with", ("problem",)),
)


_Named = tuple[str, list[Passage]]
"""A thing that a question names, and the passages that name it."""
_MOST_RESULTS: Final = 6


def ask_chart(resources: Iterable[Resource], question: str, on: date) -> ChartAnswer:
    """Return the passages of a chart that name what a question names, read as on a day."""
    text = " ".join(question.split())[:500]
    if _RISK.search(text):
        return ChartAnswer("referred", "A score stands on its card with its explanation; no other is given here.")
    if _ADVICE.search(text):
        return ChartAnswer("abstained", "What to do is not answered here, only what the chart says.")
    chart = read_chart(resources, on)
    named = list(_named(chart, text))
    passages = tuple(dict.fromkeys(passage for _, found in named for passage in found))
    if not passages:
        return _NOT_FOUND
    missing = [name for name, found in named if not found]
    quoted = "; ".join(dict.fromkeys(passage.text for passage in passages)) + "."
    if missing:
        quoted += f" Not found in the chart: {', '.join(missing)}."
    cites = tuple(dict.fromkeys(passage.source for passage in passages))
    return ChartAnswer("partial" if missing else "answered", quoted, cites, passages)


def _named(chart: ReadableChart, question: str) -> Iterator[_Named]:
    if _FAMILY.search(question):
        wanted = _concepts(_FAMILY.sub(" ", question))
        yield (
            "the family",
            _quote(
                fact
                for fact in chart.of_kind("family")
                if not wanted or wanted & _concepts(fact.name.split(" ", 1)[-1])
            ),
        )
    elif _ALLERGY.search(question):
        yield "this allergy", _quote(_allergies(chart, question))
    else:
        things = [*_tests(chart, question), *_drugs(chart, question), *_findings(chart, question)]
        yield from things or _lists(chart, question)


def _quote(facts: Iterable[Fact]) -> list[Passage]:
    return [Passage(fact.text, fact.source) for fact in facts]


@cache
def _test_names() -> dict[str, str]:
    table = Path(fhir.notes.__file__).with_name("result_names.csv")
    with table.open(encoding="utf-8", newline="") as file:
        names = {
            name: row["name"].lower()
            for row in csv.DictReader(file)
            for name in (row["name"].lower(), *row["names"].split("|"))
        }
    return {**names, **{words: names.get(name, name) for words, name in _SYNONYMS.items()}, "lvef": "ejection fraction"}


def _test_of(name: str) -> str:
    return _test_names().get(name.lower(), name.lower())


def _is_word(name: str, text: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", text) is not None


def _tests(chart: ReadableChart, question: str) -> Iterator[_Named]:
    """Yield each test that is named with its last result, or with its last results where their course is asked for."""
    results = sorted(chart.of_kind("result"), key=lambda fact: fact.day)
    spelled = {*_test_names(), *(fact.name.lower() for fact in results)}
    wanted = {_test_of(name) for name in spelled if len(name) > 1 and _is_word(name, question.lower())}
    wanted |= {_test_of(letter) for letter in ("k", "t") if _is_word(letter.upper(), question)}
    count = _MOST_RESULTS if _TREND.search(question) else 1
    for test in sorted(wanted):
        yield test, _quote([fact for fact in results if _test_of(fact.name) == test][-count:])


def _drugs(chart: ReadableChart, question: str) -> Iterator[_Named]:
    kinds: tuple[Kind, ...] = ("drug", "stopped")
    if re.search(r"\b(?:why|when)\b.*\b(?:stopped|held|discontinued|ended)\b", question, re.IGNORECASE):
        kinds = ("stopped",)
    facts = chart.of_kind(*kinds)
    for member in sorted({member.name for _, _, names in names_in_text(question) for member in names}):
        yield (
            member,
            _quote(fact for fact in facts if member in {each.name for each in read_name(fact.name).ingredients}),
        )
    for words, prefixes in _CLASSES:
        if (spelled := re.search(rf"\b(?:{words})\b", question, re.IGNORECASE)) is not None:
            yield spelled[0].lower(), _quote(fact for fact in facts if _is_of_class(fact, prefixes))


def _is_of_class(fact: Fact, prefixes: tuple[str, ...]) -> bool:
    return any(code.startswith(prefixes) for member in read_name(fact.name).ingredients for code in atc_codes(member))


def _allergies(chart: ReadableChart, question: str) -> list[Fact]:
    """Return all allergies, or those to what is named."""
    wanted = allergen_of_words(_ASKING.sub(" ", _ALLERGY.sub(" ", question)))
    facts = chart.of_kind("allergy")
    if wanted.ingredients or wanted.named_classes:
        return [fact for fact in facts if _is_same(allergen_of_words(fact.name), wanted)]
    return facts


def _is_same(allergen: Allergen, wanted: Allergen) -> bool:
    return bool(allergen.ingredients & wanted.ingredients) or bool(allergen.named_classes & wanted.allergen_classes)


def _names_of(finding: Finding) -> set[str]:
    return {finding.concept, *finding.codes}


def _concepts(text: str) -> set[str]:
    return {name for finding in read_note(text, on=date.min).findings for name in _names_of(finding)}


def _findings(chart: ReadableChart, question: str) -> Iterator[_Named]:
    for finding in read_note(question, on=date.min).findings:
        if _TREND.fullmatch(finding.text):  # "fallen" asks for the course of a result here
            continue
        facts = chart.of_kind("problem", "past", "procedure")
        passages = _quote(fact for fact in facts if _names_of(finding) & _concepts(fact.name))
        for note in sorted(chart.notes, key=lambda note: note.day, reverse=True):
            passages.extend(
                _line_of(note, read)
                for read in note.reading.findings
                if read.experiencer == "patient" and read.concept in _names_of(finding)
            )
        yield finding.text, passages


def _line_of(note: ChartNote, finding: Finding) -> Passage:
    """Quote the words around a finding, without markup; what the reader of notes makes of them stands behind."""
    start = max(note.text.rfind(sign, 0, finding.start) for sign in ".;:!?\n") + 1
    ends = [position for sign in ".;:!?\n" if (position := note.text.find(sign, finding.end)) >= 0]
    words = shown(note.text[start : min(ends, default=len(note.text))])
    read_as = f" (read as {finding.assertion}, {finding.temporality})"
    return Passage(f"{note.title}: “{words}”{read_as}", note.source)


def _lists(chart: ReadableChart, question: str) -> Iterator[_Named]:
    for words, kinds in _LISTS:
        if (spelled := re.search(rf"\b(?:{words})\b", question, re.IGNORECASE)) is not None:
            yield spelled[0], _quote(chart.of_kind(*kinds))
            return
