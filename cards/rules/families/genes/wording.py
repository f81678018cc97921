"""The sentences of a finding about genes: the result with its date, what it means for the drug, what else to know."""

import re
from collections.abc import Iterator, Mapping

from cards.extension import Fact
from cards.rules.families.genes.advice import Advice, advice_of, is_quiet
from cards.rules.families.genes.knowledge import FDA_LINES, REQUIRED_TESTS, Action
from cards.rules.language.trigger import AMOUNTS_OF_ADULT, ASK_PHARMACIST, Selector, Template
from cards.rules.patient.context import RuleContext
from cards.text import capitalized, decapitalized, plain
from fhir.mapping.genomics.results import GeneResult
from fhir.mapping.genomics.tables import phenotype_of

_MOST_SUMMARY, _READ_AT_ONCE = 136, 100
_LONGEST_WORDING = 60
# FDA, table of CYP enzymes: strong inhibitors of CYP2D6. CPIC: they can turn a normal into a poor metabolizer.
_CYP2D6_INHIBITORS = Selector(
    ingredients=frozenset({"32937", "4493", "42347", "9068"})  # paroxetine, fluoxetine, bupropion, quinidine
)
# A problem of the list that stands for a gene that nobody has tested.
_DIAGNOSED: Mapping[str, str] = {"RYR1": "Malignant hyperthermia on record"}
_MEANS: Mapping[str, str] = {
    "avoid": "avoid {drug}",
    "avoid_unless": "avoid {drug} if possible",
    "reduce": "lower the dose of {drug}",
    "reduce_strongly": "give a far lower dose of {drug}",
    "limit": "limit the dose of {drug}",
    "alternative": "consider a drug other than {drug}",
    "alternative_or_reduce": "consider another drug or less {drug}",
    "increase": "{drug} may need a higher dose",
    "caution": "use {drug} with caution",
    "test": "measure before {drug}",
    "risk": "higher risk with {drug}",
    "monitor": "higher {drug} exposure, monitor",
}


def result_words(result: GeneResult) -> str:
    """Name the gene and what its result means: "CYP2D6 poor metabolizer (activity score 0)", "HLA-B*57:01 positive"."""
    if result.newest.kind == "diagnosis" and result.gene in _DIAGNOSED:
        return _DIAGNOSED[result.gene]
    if not result.keys:
        return f"{result.gene} “{plain(result.newest.wording, _LONGEST_WORDING)}”"
    called = " or ".join(
        phenotype if phenotype.startswith("-") else phenotype.lower() for phenotype in result.phenotypes
    )
    if result.conflicts:
        return f"{result.gene} results differ ({called})"
    score = (
        result.keys[0] if len(result.keys) == 1 and phenotype_of(result.gene, result.keys[0]) != result.keys[0] else ""
    )
    activity = f" (activity score {score.removesuffix('.0')})" if score else ""
    return f"{result.gene} {called}{activity}"


def _dated_words(result: GeneResult) -> str:
    """Return the same with the day of the result."""
    time = result.newest.time
    return f"{result_words(result)} of {time.text[:10]}" if time is not None else result_words(result)


def gene_facts(context: RuleContext) -> list[Fact]:
    """Each result with its date and its resource."""
    advice = advice_of(context)
    return [_fact(result) for result in advice.results] if advice is not None else []


def _fact(result: GeneResult) -> Fact:
    newest = result.newest
    charted_words = plain(newest.wording, _LONGEST_WORDING)
    words = result_words(result)
    text = words if charted_words.lower() in words.lower() else f"{words}, “{charted_words}”"
    value = " or ".join(result.keys) if len(result.keys) < 4 else " or ".join(result.phenotypes)
    return Fact("gene", text, value or None, effective=newest.time.text if newest.time else None, source=newest.source)


def summary(context: RuleContext) -> str | None:
    """Return the headline: gene and result, what it means for the drug, and the instruction where there is room."""
    advice = advice_of(context)
    if advice is None:
        return None
    results = _telling_results(advice)
    dated = _summary(advice, " and ".join(map(_dated_words, results)), context)
    return dated if len(dated) <= _READ_AT_ONCE else _summary(advice, " and ".join(map(result_words, results)), context)


def _summary(advice: Advice, genes: str, context: RuleContext) -> str:
    drug = context.ingredient.name
    if advice.band == "unknown_allele":
        unknown = next(result for result in advice.results if not result.keys)
        return _cut(f"{result_words(unknown)} cannot be interpreted: no advice about {drug} without the phenotype.")
    if advice.band == "preliminary":
        return _cut(f"{genes} is preliminary: confirm it, it matters for {drug}.")
    if advice.band == "transplant":
        return _cut(f"{genes} is from before a transplant: ask the laboratory about {drug}.")
    if advice.band == "indication_unknown":
        return _cut(f"{genes}: check the indication; the advice about {drug} depends on it.")
    means = _MEANS.get(advice.band, "{drug}").format(drug=drug)
    head = f"{genes}: {means}"
    instruction = _of_patient(advice.row.action.instruction, context) if advice.row is not None else ""
    sentence = (
        f"{genes}: {_with_drug(instruction, drug)}." if _with_drug(instruction, drug) else f"{head}; {instruction}."
    )
    return sentence if len(sentence) <= _READ_AT_ONCE and not instruction.startswith("FDA") else _cut(f"{head}.")


def _of_patient(text: str, context: RuleContext) -> str:
    """Return a text of the tables, for a child without the amounts in brackets, which are an adult's."""
    template = Template(text)
    return template.for_child.text if context.is_child else template.text


def _with_drug(instruction: str, drug: str) -> str:
    """Put the drug's name in the instruction where that makes a sentence ("do not use codeine (toxicity)"), else ""."""
    for start, phrase in (
        ("do not use", f"do not use {drug}"),
        ("consider another drug", f"consider a drug other than {drug}"),
    ):
        remainder = instruction.removeprefix(start)
        if remainder.startswith(": "):
            danger, separator, more = remainder[2:].partition("; ")
            return f"{phrase} ({danger}){separator}{more}"
        if remainder.startswith((";", " if ")):
            return f"{phrase}{remainder}"
    return ""


def _telling_results(advice: Advice) -> tuple[GeneResult, ...]:
    """Return the results that the headline names: those that are not simply normal, else all that are known."""
    known_results = tuple(result for result in advice.results if result.keys)
    unusual = tuple(result for result in known_results if not all(map(_is_usual, result.phenotypes)))
    return unusual or known_results or advice.results


def _is_usual(phenotype: str) -> bool:
    return phenotype.lower().startswith(("normal", "negative"))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SUMMARY else f"{text[: _MOST_SUMMARY - 1]}…"


# The populations of the table that a reader takes for another thing.
_POPULATIONS: Mapping[str, str] = {
    "never had the drug": "for a first course",
    "never had the drug, no alternative available": "for a first course, with no alternative available",
}
_STRENGTHS: Mapping[str, str] = {
    "CPIC: Strong": "CPIC (gene guideline) recommends this strongly",
    "CPIC: Moderate": "CPIC (gene guideline) recommends this with moderate strength",
    "CPIC: Optional": "CPIC (gene guideline) calls this optional",
}
_NO_ADVICE = "Look in the laboratory's report for the phenotype: it cannot be derived from this result here."


def detail(context: RuleContext) -> str | None:
    """Return what to do, the doubts, FDA's line, and the drugs that change what the gene does; with the source."""
    advice = advice_of(context)
    return (" ".join(_sentences(advice, context)) or _NO_ADVICE) if advice is not None else None


def _sentences(advice: Advice, context: RuleContext) -> Iterator[str]:
    row = advice.row
    if row is not None and not is_quiet(row.action.name):
        for_whom = f" ({_POPULATIONS.get(row.population, row.population)})" if row.population != "any" else ""
        # An instruction of FDA's table says so itself.
        is_fda = row.source.startswith("FDA")
        instruction = _capital(_with_verb(_of_patient(row.action.instruction, context)))
        if advice.band in _FIRST:
            yield _FIRST[advice.band]
            instruction = f"Then {decapitalized(instruction)}"
        yield f"{instruction}{for_whom}." if is_fda else f"{instruction}."
        if not is_fda:
            yield f"{_STRENGTHS.get(row.source, row.source)}{for_whom}."
        names = [] if _names_alternatives(row.action) else _fitting_alternatives(row.action, context)
        if names:
            yield f"Consider {' or '.join(names)} instead."
        if row.action.levels:
            yield "Drug levels guide the dose."
        if not is_fda:
            limits = [_of_patient(limit, context) for limit in _fda_limits(advice, context)]
            yield from (f"FDA's table: {limit}." for limit in limits if limit)
        if context.is_child and "[" in "".join((row.action.instruction, *_fda_limits(advice, context))):
            yield f"{AMOUNTS_OF_ADULT} {ASK_PHARMACIST}"
    yield from advice.doubts
    yield from _phenoconversion(advice, context)


def _fda_limits(advice: Advice, context: RuleContext) -> list[str]:
    """Return the limits of FDA's table for these results of the patient."""
    keys = {result.gene: set(result.keys) for result in advice.results}
    lines = FDA_LINES.get(context.ingredient.rxcui, ())
    return [line.limit for line in lines if line.limit and keys.get(line.gene, set()) & line.keys]


# Contraindications of their labels (section 4), and strong CYP3A inhibitors beside ticagrelor (section 7, avoid).
_NOT_BESIDE: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "febuxostat": (frozenset({"1256", "103"}), frozenset()),  # azathioprine, mercaptopurine
    "ticagrelor": (frozenset({"cyp3a4_inhibitor_strong"}), frozenset({"intracranial_hemorrhage"})),
    "prasugrel": (frozenset(), frozenset({"stroke_tia", "intracranial_hemorrhage"})),
}
"""What excludes a drug that a recommendation names in place of the draft: what is taken, and what is on record."""


def _fitting_alternatives(action: Action, context: RuleContext) -> list[str]:
    session, fitting = context.session, []
    for name in filter(None, action.alternatives.split(";")):
        taken, conditions = _NOT_BESIDE.get(name, (frozenset(), frozenset()))
        is_taken = bool(session.medications_beside(context.drafted, sorted(taken)))
        if not (is_taken or any(map(session.condition, conditions))):
            fitting.append(name)
    return fitting


def _names_alternatives(action: Action) -> bool:
    """Whether the instruction names each of them already."""
    words = action.instruction.lower()
    return all(alternative.strip().lower() in words for alternative in action.alternatives.split(";"))


def _with_verb(instruction: str) -> str:
    """Return "choose another statin" for "another statin", "give half of the dose" for "half of the dose"."""
    return next((f"{verb} {instruction}" for verb, start in _VERBS.items() if start.match(instruction)), instruction)


_FIRST: Mapping[str, str] = {
    "preliminary": "Confirm the result first.",
    "transplant": "Ask for a new interpretation first.",
    "indication_unknown": "Check what the drug is for first.",
}
"""What comes before the advice of a result that may not hold."""
_VERBS: Mapping[str, re.Pattern[str]] = {
    "choose": re.compile(r"(?:another|an?) "),
    "give": re.compile(r"(?:\d|half|one tenth)"),
    "give the": re.compile(r"(?:lowest|usual|shortest) "),
    "use a": re.compile(r"lower start"),
    "use it": re.compile(r"with caution"),
}
"""The verbs that the table's instructions leave out."""


def _capital(text: str) -> str:
    return capitalized(text)


def _phenoconversion(advice: Advice, context: RuleContext) -> Iterator[str]:
    if not any(result.gene == "CYP2D6" and result.keys != ("0.0",) for result in advice.results):
        return
    names = [medication.medication.name for medication in context.current_medications(_CYP2D6_INHIBITORS)]
    if names:
        yield f"{_capital(names[0])} inhibits CYP2D6 and can make a poor metabolizer of any other; not in the tables."


# A test before the first course

# The table's notes on its rows in the words of a card.
_TIMES: Mapping[str, str] = {
    "label names ancestry, which this project does not use: first course only": (
        "the first course; the label asks for it by ancestry, which is not looked at here"
    ),
    "first course": "the first course",
    "patients at higher risk (label)": "patients at higher risk by the label; who that is was not looked at",
    "indication test": "every patient, because the drug is for certain variants only",
}


def genes_to_test(context: RuleContext) -> str | None:
    """Return the genes of which a result is asked for before this drug: "TPMT or NUDT15"."""
    test = REQUIRED_TESTS.get(context.ingredient.rxcui)
    return " or ".join(test.genes) if test is not None else None


def danger_without_test(context: RuleContext) -> str | None:
    """What can happen without the test."""
    test = REQUIRED_TESTS.get(context.ingredient.rxcui)
    return test.danger if test is not None else None


def time_to_test(context: RuleContext) -> str | None:
    """When the test is asked for."""
    test = REQUIRED_TESTS.get(context.ingredient.rxcui)
    if test is None:
        return None
    when = test.when.partition(";")[0]
    return _TIMES.get(when, when)
