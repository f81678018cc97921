"""Questions over one chart: an answer that quotes and cites its entries, or an abstention.

No score tells a question that a chart cannot answer from one that it can; so the kinds of questions that are answered
are a list (a result, a drug or a class of drugs, an allergy, the family, a problem), and all others are not.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

import fhir.notes
from cds_hooks.text.chart import Fact, ReadableChart, Resource, affirmed, read_chart
from fhir.notes.reading import read_note
from fhir.terminology.allergens import Allergen, allergen_of_words
from fhir.terminology.medication_names import names_in_text, read_name
from fhir.terminology.medications import atc_codes


class ChartAnswer(Struct, frozen=True):
    """An answer with the resources that it rests on; not `answered`, the text says why there is none.

    "referred": another part of the server answers that, such as the explanation of a score.
    """

    status: Literal["answered", "abstained", "referred"]
    text: str
    cites: tuple[str, ...] = ()


_NOT_SAID: Final = ChartAnswer("abstained", "The chart does not say.")
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
_LISTS: Final = (
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


def ask_chart(resources: Iterable[Resource], question: str, on: date) -> ChartAnswer:
    """Return what a chart says to a question on a day."""
    text = " ".join(question.split())[:500]
    if _RISK.search(text):
        return ChartAnswer("referred", "A score stands on its card with its explanation; no other is given here.")
    if _ADVICE.search(text):
        return ChartAnswer("abstained", "What to do is not answered here, only what the chart says.")
    chart = read_chart(resources, on)
    if _FAMILY.search(text):
        return _of_family(chart, text)
    if _ALLERGY.search(text):
        return _of_allergies(chart, text)
    for answer in (_of_tests(chart, text), _of_drugs(chart, text), _of_findings(chart, text), _of_lists(chart, text)):
        if answer is not None:
            return answer
    return _NOT_SAID


def _quoted(facts: Sequence[Fact], before: str = "") -> ChartAnswer:
    texts = dict.fromkeys(fact.text for fact in facts)
    return ChartAnswer("answered", f"{before}{'; '.join(texts)}.", tuple(fact.source for fact in facts))


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


def _of_tests(chart: ReadableChart, question: str) -> ChartAnswer | None:
    lowered = question.lower()
    results = chart.of_kind("result")
    tests = {_test_of(fact.name) for fact in results}
    spelled = [*_test_names(), *(fact.name.lower() for fact in results)]
    wanted = {_test_of(name) for name in spelled if len(name) > 1 and _is_word(name, lowered)}
    wanted |= {_test_of(letter) for letter in ("k", "t") if _is_word(letter.upper(), question)}
    if not wanted:
        return None
    facts = sorted((fact for fact in results if _test_of(fact.name) in wanted & tests), key=lambda fact: fact.day)
    if not facts:
        return None if names_in_text(question) or read_note(question, on=date.min).findings else _NOT_SAID
    if _TREND.search(question):
        return _quoted(facts[-6:])
    latest = [[fact for fact in facts if _test_of(fact.name) == test][-1] for test in sorted(wanted & tests)]
    return _quoted(latest)


def _of_drugs(chart: ReadableChart, question: str) -> ChartAnswer | None:
    members = {member.name for _, _, names in names_in_text(question) for member in names}
    prefixes = next(
        (codes for words, codes in _CLASSES if re.search(rf"\b(?:{words})\b", question, re.IGNORECASE)), None
    )
    if prefixes is None and not members:
        return None
    current, stopped = (
        [fact for fact in chart.of_kind(kind) if _is_asked(fact, members, prefixes)] for kind in ("drug", "stopped")
    )
    is_question = re.match(r"\s*(?:is|are|does|do|has|have|was|did|takes?)\b", question, re.IGNORECASE) is not None
    if re.search(r"\b(?:why|when)\b.*\b(?:stopped|held|discontinued|ended)\b", question, re.IGNORECASE):
        return _quoted(stopped) if stopped else _NOT_SAID
    if current:
        return _quoted(current, "Yes: " if is_question else "")
    return _quoted(stopped, "No, not now. ") if stopped else _NOT_SAID


def _of_allergies(chart: ReadableChart, question: str) -> ChartAnswer:
    """All allergies, or those to what is named; a list without it does not deny it."""
    facts = chart.of_kind("allergy")
    wanted = allergen_of_words(_ASKING.sub(" ", _ALLERGY.sub(" ", question)))
    if wanted.ingredients or wanted.named_classes:
        facts = [fact for fact in facts if _is_same(allergen_of_words(fact.name), wanted)]
        return _quoted(facts, "Yes: ") if facts else _NOT_SAID
    return _quoted(facts) if facts else _NOT_SAID


def _is_same(allergen: Allergen, wanted: Allergen) -> bool:
    return bool(allergen.ingredients & wanted.ingredients) or bool(allergen.named_classes & wanted.allergen_classes)


def _is_asked(fact: Fact, members: set[str], prefixes: tuple[str, ...] | None) -> bool:
    of_fact = read_name(fact.name).ingredients
    if members & {member.name for member in of_fact}:
        return True
    return prefixes is not None and any(code.startswith(prefixes) for member in of_fact for code in atc_codes(member))


def _concepts(text: str) -> set[str]:
    return {name for finding in read_note(text, on=date.min).findings for name in (finding.concept, *finding.codes)}


def _of_family(chart: ReadableChart, question: str) -> ChartAnswer:
    facts = chart.of_kind("family")
    wanted = _concepts(_FAMILY.sub(" ", question))
    kept = [fact for fact in facts if not wanted or wanted & _concepts(fact.name.split(" ", 1)[-1])]
    return _quoted(kept) if kept else _NOT_SAID


def _of_findings(chart: ReadableChart, question: str) -> ChartAnswer | None:
    wanted = _concepts(question)
    if not wanted:
        return None
    if re.match(r"\s*(?:which|what) (?!is|are|was|were|does|do)\w+", question, re.IGNORECASE):
        return _NOT_SAID  # "which antibiotic was given for the pneumonia" asks of more than the pneumonia
    facts = [fact for fact in chart.of_kind("problem") if wanted & _concepts(fact.name)]
    if facts:
        return _quoted(facts, "Yes: ")
    past = [fact for fact in chart.of_kind("past", "procedure") if wanted & _concepts(fact.name)]
    if past:
        return _quoted(past, "In the past: ")
    for note in sorted(chart.notes, key=lambda note: note.day, reverse=True):
        for finding in note.reading.findings:
            if (
                finding.experiencer == "patient"
                and wanted & {finding.concept}
                and finding.assertion in ("affirmed", "negated")
            ):
                is_new = finding in affirmed(note)
                word = "yes" if is_new else "no" if finding.assertion == "negated" else "in the past"
                return ChartAnswer(
                    "answered",
                    f"The {note.title[:1].lower()}{note.title[1:]} says {word}: {finding.text}.",
                    (note.source,),
                )
    return _NOT_SAID


def _of_lists(chart: ReadableChart, question: str) -> ChartAnswer | None:
    for words, kinds in _LISTS:
        if re.search(rf"\b(?:{words})\b", question, re.IGNORECASE):
            facts = chart.of_kind(*kinds)  # type: ignore[arg-type]  # the kinds of the table above
            return _quoted(facts) if facts else _NOT_SAID
    return None
