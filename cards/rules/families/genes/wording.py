"""The sentences of a finding about genes: the result with its date, what it means for the drug, what else to know."""

from collections.abc import Iterable, Iterator, Mapping

from cards.extension import Fact
from cards.rules.families.genes.advice import Advice, advice_of, is_quiet
from cards.rules.families.genes.knowledge import FDA_LINES, HARMS, Action, TestBefore
from cards.rules.language.trigger import AMOUNTS_OF_ADULT, ASK_PHARMACIST, Selector, Template
from cards.rules.patient.context import RuleContext
from cards.text import capitalized, decapitalized, plain
from fhir.mapping.genomics.results import GeneResult
from fhir.mapping.genomics.tables import phenotype_of

_READ_AT_ONCE = 100
_LONGEST_WORDING, _SHORTEST_WORDING = 60, 16
# FDA, table of CYP enzymes: strong inhibitors of CYP2D6. CPIC: they can turn a normal into a poor metabolizer.
_CYP2D6_INHIBITORS = Selector(
    ingredients=frozenset({"32937", "4493", "42347", "9068"})  # paroxetine, fluoxetine, bupropion, quinidine
)
# A problem of the list that stands for a gene that nobody has tested.
_DIAGNOSED: Mapping[str, str] = {"RYR1": "malignant hyperthermia on record"}
_MEANS: Mapping[str, str] = {
    "avoid": "Avoid it",
    "avoid_unless": "Avoid it if possible",
    "reduce": "Lower the dose",
    "reduce_strongly": "Give a far lower dose",
    "limit": "Limit the dose",
    "alternative": "Consider another drug",
    "alternative_or_reduce": "Consider another drug, or a lower dose",
    "increase": "Consider a higher dose",
    "caution": "Use it with caution",
    "test": "Measure the enzyme activity first",
    "risk": "The risk is higher",
    "monitor": "Monitor: its levels are higher",
    "indication_unknown": "Check what it is for",
    "preliminary": "Confirm the result first",
    "transplant": "Ask the laboratory first",
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
    time, words = result.newest.time, result_words(result)
    if time is None:
        return words
    return f"{words[:-1]}, {time.text[:10]})" if words.endswith(")") else f"{words} ({time.text[:10]})"


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
    """Return the headline: the drug, the result, what can happen, and what to do; without its date where it is long."""
    advice = advice_of(context)
    if advice is None:
        return None
    results, harm = _telling_results(advice), _harm(_telling_results(advice), context.ingredient.rxcui)
    dated, undated = (" and ".join(map(words, results)) for words in (_dated_words, result_words))
    tried = [(dated, harm), (undated, harm), (undated, harm.partition(",")[0]), (undated, "")]
    sentences = [_summary(advice, genes, danger, context.ingredient.name) for genes, danger in tried]
    return next((sentence for sentence in sentences if len(sentence) <= _READ_AT_ONCE), sentences[-1])


def _summary(advice: Advice, genes: str, harm: str, drug: str) -> str:
    if advice.band == "unknown_allele":
        unknown = next(result for result in advice.results if not result.keys)
        lead, end = f"{unknown.gene} result “", f"” names no phenotype, so there is no advice about {drug}."
        room = max(_READ_AT_ONCE - len(lead) - len(end), _SHORTEST_WORDING)
        return f"{lead}{plain(unknown.newest.wording, min(room, _LONGEST_WORDING))}{end}"
    danger = f": {harm}" if harm and harm.removeprefix("risk of ") not in genes else ""
    return f"{capitalized(drug)}, {genes}{danger}. {_MEANS.get(advice.band, 'Check it')}."


def _harm(results: Iterable[GeneResult], rxcui: str) -> str:
    """Return what can happen with these results, as CPIC or FDA says; "" where neither says."""
    for result in results:
        meant = " ".join(result.phenotypes).lower()
        for row in (row for row in HARMS if row["gene"] == result.gene and rxcui in (row["drugs"] or rxcui).split(";")):
            if any(word in meant for word in row["phenotypes"].split(";")):
                return row["harm"]
    return ""


def _of_patient(text: str, context: RuleContext) -> str:
    """Return a text of the tables, for a child without the amounts in brackets, which are an adult's."""
    template = Template(text)
    return template.for_child.text if context.is_child else template.text


def _telling_results(advice: Advice) -> tuple[GeneResult, ...]:
    """Return the results that the headline names: those that are not simply normal, else all that are known."""
    known_results = tuple(result for result in advice.results if result.keys)
    unusual = tuple(result for result in known_results if not all(map(_is_usual, result.phenotypes)))
    return unusual or known_results or advice.results


def _is_usual(phenotype: str) -> bool:
    return phenotype.lower().startswith(("normal", "negative"))


# The populations of the table that a reader takes for another thing.
_POPULATIONS: Mapping[str, str] = {
    "never had the drug": "in patients who have not had it before",
    "coronary: acute coronary syndrome or PCI": "in acute coronary syndrome or PCI",
    "cardiovascular, neither ACS nor PCI": "in other heart and vessel disease",
    "neurovascular (stroke, TIA)": "after a stroke or TIA",
    "never had the drug, no alternative available": "in patients who have not had it before and have no alternative",
}
_STRENGTHS: Mapping[str, str] = {
    "CPIC: Strong": "CPIC (gene guideline): strong recommendation",
    "CPIC: Moderate": "CPIC (gene guideline): moderate recommendation",
    "CPIC: Optional": "CPIC (gene guideline): optional",
}
_NO_ADVICE = "Look in the laboratory's report for the phenotype: it cannot be derived from this result here."


def detail(context: RuleContext) -> str | None:
    """Return what to do, the doubts, FDA's line, and the drugs that change what the gene does; with the source."""
    advice = advice_of(context)
    return (" ".join(_sentences(advice, context)) or _NO_ADVICE) if advice is not None else None


def _sentences(advice: Advice, context: RuleContext) -> Iterator[str]:
    row = advice.row
    if row is not None and not is_quiet(row.action.name):
        for_whom = f" {_POPULATIONS.get(row.population, f'({row.population})')}" if row.population != "any" else ""
        # An instruction of FDA's table says so itself.
        is_fda = row.source.startswith("FDA")
        instruction = capitalized(_of_patient(row.action.instruction, context))
        if advice.band == "indication_unknown":
            whom = _POPULATIONS.get(row.population, row.population)
            instruction, for_whom = f"{capitalized(whom)} {decapitalized(instruction)}", ""
        elif advice.band in _NOT_FIRM:
            yield f"{_MEANS[advice.band]}. Then {decapitalized(instruction)}."
        names = [] if _names_alternatives(row.action) else _fitting_alternatives(row.action, context)
        instruction += f", such as {' or '.join(names)}" if names else ""
        if advice.band not in _NOT_FIRM:
            yield f"{instruction}{for_whom}." if is_fda else f"{instruction}."
        if not is_fda and advice.band not in _NOT_FIRM:
            yield f"{_STRENGTHS.get(row.source, row.source)}{for_whom}."
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


_NOT_FIRM = ("preliminary", "transplant")
"""Of a result that may not hold: another step comes before the advice."""


def _phenoconversion(advice: Advice, context: RuleContext) -> Iterator[str]:
    if not any(result.gene == "CYP2D6" and result.keys != ("0.0",) for result in advice.results):
        return
    names = [medication.medication.name for medication in context.current_medications(_CYP2D6_INHIBITORS)]
    if names:
        yield f"{capitalized(names[0])} inhibits CYP2D6: the patient can become a poor metabolizer."


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


def time_to_test(test: TestBefore) -> str:
    """When the test is asked for."""
    when = test.when.partition(";")[0]
    return _TIMES.get(when, when)
