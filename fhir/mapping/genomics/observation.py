"""What one Observation says about genes: which gene is meant, and what its value means."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from fhir.mapping.genomics.tables import (
    GENE_OF_HGNC,
    GENES,
    HLA_ALLELES,
    NEGATIVE,
    POSITIVE,
    codes,
    keys_of_phenotype,
)
from fhir.mapping.genomics.translation import phenotype_named, translate
from fhir.mapping.genomics.words import (
    Translation,
    genes_named,
    hla_named,
    is_no_result,
    is_of_another,
    parts_by_gene,
    presence_of,
    without_advice,
    without_gene,
)
from fhir.record.datatypes import CodeableConcept, FhirTime, Quantity, parse_time
from fhir.record.resources import Observation, ObservationComponent
from fhir.terminology.caching import remembered
from fhir.terminology.medication_names import medication_of_code, read_name

ReadingKind: TypeAlias = Literal["genotype", "phenotype", "score", "presence", "implication", "diagnosis"]

_FINAL = frozenset({"final", "amended", "corrected"})
# Genomics Reporting and LOINC answer lists LL1971-2 (present, absent) and LL360-9 (positive, negative).
_PRESENCE_ANSWERS = {
    "LA9633-4": "positive", "LA9634-2": "negative", "LA6576-8": "positive", "LA6577-6": "negative",
    # LL744-4: detected, not detected.
    "LA11882-0": "positive", "LA11883-8": "negative",
    # SNOMED CT: positive, detected, present; negative, not detected, absent.
    "10828004": "positive", "260373001": "positive", "52101004": "positive",
    "260385009": "negative", "260415000": "negative", "2667000": "negative",
}  # fmt: skip
_RESULTS = ("phenotype of one gene", "genotype", "haplotype", "allele presence", "implication", "legacy component")
_GENE = re.compile(r"gene(?: studied| symbol| name)?(?: \[id\])?", re.IGNORECASE)
_RESULT = re.compile(
    r"(?:genotype|diplotype|star alleles?|phenotype|metaboli[sz]er (?:status|phenotype)|(?:total )?activity score|"
    r"interpretation|predicted phenotype|result|(?:predicted )?function)",
    re.IGNORECASE,
)
_POSITION = re.compile(r"\brs\d+\b|(?:\bc\.)?-?\b\d{3,4}\s?[ACGT]>[ACGT]", re.IGNORECASE)


_ONE_ALLELE = re.compile(r"(?:allele|haplotype) ?(?:1|2|one|two|a|b)", re.IGNORECASE)
# HL7 Genomics Reporting, profile variant: the name of the variant (81252-9; 48004-6, DNA change) and allelic state.
_VARIANT, _VARIANT_NAMES, _ALLELIC_STATE = "69548-6", frozenset({"81252-9", "48004-6"}), "53034-5"


class GeneReading(Struct, frozen=True, gc=False):
    """One statement about a gene, or about one HLA allele (`HLA-B*15:02`).

    `keys` are the lookup keys that it may mean, none where it cannot be translated; `said` are the chart's words;
    `is_final` is False for preliminary results; `entered` is when it was issued. `drug` are the RxNorm ingredients that
    a therapeutic implication is about, whose `gene` is empty where the report names none.
    """

    gene: str
    kind: ReadingKind
    keys: tuple[str, ...]
    wording: str
    source: str
    time: FhirTime | None
    entered: FhirTime | None
    is_final: bool = True
    drug: tuple[str, ...] = ()
    phenotype: str = ""


def readings_of(observation: Observation, time: FhirTime | None) -> Iterator[GeneReading]:
    """Every statement of an observation of this time about genes; none for most observations."""
    if not may_tell(observation):
        return
    if is_of_another(observation.code.texts):
        return
    maker = _Maker(observation, time)
    drugs = [component for component in observation.component if _code_of(component.code, "implication drug")]
    if drugs:
        yield from maker.implications(drugs)
        return
    gene = _gene_of(observation)
    if gene is not None:
        texts = [_value_text(observation), *(concept.words for concept in observation.interpretation)]
        yield from maker.value(gene, observation, [_variant(observation) or texts[0], *texts[1:]])
        yield from maker.pair(gene)
    else:
        yield from maker.several()
    yield from maker.components(gene)


def may_tell(observation: Observation) -> bool:
    """Whether an observation may say something about genes: by its code, a component's code, or the words it has.

    Most results of a chart do not, and a blood pressure with its two components least of all.
    """
    if _is_about_genes(observation.code):
        return True
    if observation.component and any(_is_about_genes(part.code) for part in observation.component):
        return True
    if observation.valueCodeableConcept is None and not observation.valueString:
        return False
    return bool(genes_named([_value_text(observation)]))


_USES = ("gene", "implication drug", "enzyme", *_RESULTS)


@remembered("codes about genes", entries=2048, longest=400)
def _is_about_genes(code: CodeableConcept) -> bool:
    texts = code.texts
    is_named = any(_GENE.fullmatch(text.strip()) for text in texts) or bool(genes_named(texts))
    return is_named or _code_of(code, *_USES) is not None


class _Maker:
    """Makes the readings of one observation."""

    def __init__(self, observation: Observation, time: FhirTime | None) -> None:
        self.observation = observation
        self.time = time
        self.entered = parse_time(observation.issued) if observation.issued else time
        self.source = observation.source
        self.is_final = observation.status in _FINAL

    def reading(
        self,
        gene: str,
        kind: ReadingKind,
        keys: tuple[str, ...],
        text: str,
        drug: tuple[str, ...] = (),
        phenotype: str = "",
    ) -> GeneReading:
        """Return a statement of this observation."""
        return GeneReading(gene, kind, keys, text, self.source, self.time, self.entered, self.is_final, drug, phenotype)

    def value(self, gene: str, part: Observation | ObservationComponent, texts: Iterable[str]) -> Iterator[GeneReading]:
        """Yield what the value of the observation, or of a component, says about the gene."""
        target = self._hla_target(gene, part)
        if target is not None:
            sign = _presence(part)
            if sign is not None:
                yield self.reading(target, "presence", (sign,), f"{target} {sign}")
                return
        coded = keys_of_phenotype(gene, _answer_words(part))
        if coded:
            yield self.reading(gene, "phenotype", coded, _value_text(part))
            return
        value_texts = [text for text in texts if text]
        meanings = [
            (text, meaning)
            for text in value_texts
            for meaning in translate(gene, text) or _with_code(gene, part.code, text)
        ]
        yield from (self.reading(meaning.gene, meaning.kind, meaning.keys, text) for text, meaning in meanings)
        number = _score(part, gene)
        if number is not None:
            yield self.reading(gene, "score", number.keys, f"activity score {number.keys[0]}")
        elif value_texts and not meanings and not is_no_result(value_texts[0]):
            # What cannot be read of an HLA gene leaves each of its alleles open.
            unread = [target] if target else [f"{gene}*{allele}" for allele in HLA_ALLELES.get(gene, ())] or [gene]
            yield from (self.reading(name, "genotype", (), value_texts[0]) for name in unread)

    def several(self) -> Iterator[GeneReading]:
        """Yield what a text about several genes says of each: "CYP2C19 *2/*2; CYP2D6 poor metabolizer"."""
        for gene, sentence in parts_by_gene(_value_text(self.observation)):
            is_allele = gene in HLA_ALLELES and sentence.startswith("*")
            wording = f"{gene}{sentence}" if is_allele else f"{gene} {sentence}"
            meanings = translate(gene, wording if is_allele else sentence)
            yield from (self.reading(meaning.gene, meaning.kind, meaning.keys, wording) for meaning in meanings)
            if not meanings and not is_no_result(sentence):
                yield self.reading(gene, "genotype", (), wording)

    def _hla_target(self, gene: str, part: Observation | ObservationComponent) -> str | None:
        """Return the HLA allele that the code of the part asks about."""
        if gene not in HLA_ALLELES:
            return None
        row = _code_of(part.code, "allele presence") or _code_of(self.observation.code, "allele presence")
        genes = (row["gene"],) if row else hla_named(" ".join([*part.code.texts, *self.observation.code.texts]))
        return genes[0] if len(genes) == 1 else None

    def pair(self, gene: str) -> Iterator[GeneReading]:
        """Two components that are only called the first and the second allele, as one genotype."""
        alleles = [_value_text(component) for component in self.observation.component
                   if any(_ONE_ALLELE.fullmatch(text.strip()) for text in component.code.texts)]  # fmt: skip
        if len(alleles) == 2:
            pair_text = "/".join(without_gene(gene, allele) for allele in alleles)
            for meaning in translate(gene, pair_text) or (Translation(gene, "genotype", ()),):
                yield self.reading(meaning.gene, meaning.kind, meaning.keys, pair_text)

    def components(self, gene: str | None) -> Iterator[GeneReading]:
        """Components that each tell of a gene: a panel of several genes in one observation."""
        for component in self.observation.component:
            code = _code_of(component.code, *_RESULTS)
            genes = genes_named(component.code.texts)
            component_gene = genes[0] if len(genes) == 1 else (code["gene"].partition("*")[0] or gene) if code else None
            if component_gene is None and not genes and _is_result(component.code):
                component_gene = gene
            if component_gene:
                yield from self.value(component_gene, component, [_value_text(component)])

    def implications(self, drugs: Iterable[ObservationComponent]) -> Iterator[GeneReading]:
        """Yield what a therapeutic implication says of the gene, as it concerns these drugs."""
        rxcuis = tuple(dict.fromkeys(rxcui for drug in drugs for rxcui in _drug(drug)))
        studied = _gene_studied(self.observation)
        whole = _code_of(self.observation.code, "legacy component") is not None
        parts: list[Observation | ObservationComponent] = [*([self.observation] if whole else [])]
        for part in [*parts, *self.observation.component]:
            if not rxcuis or not _code_of(part.code, "implication", "legacy component"):
                continue
            words = _value_text(part)
            genes = genes_named([words])
            gene = studied or (genes[0] if len(genes) == 1 else "")
            answer = _answer_words(part) or phenotype_named(without_gene(gene, words) if gene else words)
            if answer:
                keys = keys_of_phenotype(gene, answer) if gene else ()
                yield self.reading(gene, "implication", keys, words, rxcuis, answer)


def _drug(component: ObservationComponent) -> Iterator[str]:
    """Yield the RxNorm ingredients of the medication that was assessed: by its code, else by its words."""
    concept = component.valueCodeableConcept
    coded = [product for coding in (concept.coding if concept is not None else ())
             if (product := medication_of_code(coding.system, coding.code)) is not None]  # fmt: skip
    words = concept.words if concept is not None else component.valueString or ""
    ingredients = [ingredient for product in coded for ingredient in product.ingredients] or read_name(
        words
    ).ingredients
    if ingredients:
        yield from (ingredient.rxcui for ingredient in ingredients)
    else:
        yield from (coding.code for coding in (concept.coding if concept is not None else ()) if coding.code)


def _is_result(code: CodeableConcept) -> bool:
    """Whether a component is called what a result of one gene is called, without its name."""
    return any(_RESULT.fullmatch(text.strip()) for text in code.texts)


def _with_code(gene: str, code: CodeableConcept, text: str) -> tuple[Translation, ...]:
    """Return a value that its code completes: "C/C" of "SLCO1B1 c.521T>C", "low" of "TPMT enzyme activity"."""
    for code_text in code.texts:
        at = _POSITION.search(code_text)
        if at is not None:
            return translate(gene, f"{at[0]} {text.strip()}")
        if "activity" in code_text.lower() and "score" not in code_text.lower():
            return translate(gene, f"{text} activity")
    return ()


# Which gene


def _gene_of(observation: Observation) -> str | None:
    """Find the gene the observation is about: by its component, else the words of its code, its code, its value."""
    studied = _gene_studied(observation)
    if studied is not None:
        return studied
    for texts in (observation.code.texts, [_value_text(observation)]):
        genes = genes_named(texts)
        if len(genes) == 1:
            return genes[0]
    row = _code_of(observation.code, "phenotype of one gene", "allele presence", "enzyme")
    return row["gene"].partition("*")[0] if row else None


def _gene_studied(observation: Observation) -> str | None:
    component = _component(observation, "gene") or next(
        (
            component
            for component in observation.component
            if any(_GENE.fullmatch(text.strip()) for text in component.code.texts)
        ),
        None,
    )
    concept = component.valueCodeableConcept if component is not None else None
    if component is not None and component.valueString:
        genes = genes_named([component.valueString])
        return genes[0] if len(genes) == 1 else None
    for coding in concept.coding if concept is not None else ():
        known_gene = GENE_OF_HGNC.get(coding.code) or (coding.code if coding.code in GENES else None)
        if known_gene is not None:
            return known_gene
    genes = genes_named([concept.words]) if concept is not None else ()
    return genes[0] if len(genes) == 1 else None


def _component(observation: Observation, use: str) -> ObservationComponent | None:
    wanted = codes(use)
    return next(
        (component for component in observation.component for code in component.code.coding if code.code in wanted),
        None,
    )


def _code_of(code: CodeableConcept, *uses: str) -> dict[str, str] | None:
    """Return the row of the first code that the table has for one of these uses."""
    rows = (row for coding in code.coding for use in uses if (row := codes(use).get(coding.code)) is not None)
    return next(rows, None)


def is_haplotype(observation: Observation) -> bool:
    """Whether it names one allele of a gene, which needs a second one."""
    return _code_of(observation.code, "haplotype") is not None


# What it says


def _value_text(part: Observation | ObservationComponent) -> str:
    if part.valueCodeableConcept is None:
        return part.valueString or _activity(part)
    words = part.valueCodeableConcept.words
    answer = codes("answer").get(words)  # a code that came without words
    return answer["meaning"] if answer is not None else words


# G6PD in U/g of hemoglobin: men without a variant 11.7 (SD 3.4), with one 0.9 to 2.4, heterozygous women 6.0 to 6.5
# (WHO: deficient is under 30 % of the median). From 3.5 on the laboratory's own range is needed.
_G6PD_DEFICIENT, _PER_HEMOGLOBIN = 3.5, frozenset({"u/g{hb}", "u/g hb", "u/g hgb", "u/g{hgb}", "iu/g hb", "u/ghb"})


def _activity(part: Observation | ObservationComponent) -> str:
    """Return what a number says of G6PD where it is low under every method; '' otherwise."""
    quantity, row = part.valueQuantity, _code_of(part.code, "enzyme")
    genes = (row["gene"],) if row is not None else genes_named([part.code.words] if part.code else ())
    if quantity is None or quantity.value is None or tuple(genes) != ("G6PD",):
        return ""
    units = {(text or "").strip().lower() for text in (quantity.code, quantity.unit)}
    is_low = 0 <= quantity.value < _G6PD_DEFICIENT and quantity.comparator in (None, "", "<", "<=")
    return "deficient" if is_low and not _PER_HEMOGLOBIN.isdisjoint(units) else ""


def _variant(observation: Observation) -> str:
    """Name a variant that was found and its zygosity in words ("rs4244285 homozygous"); '' where it is not told so."""
    if _presence(observation) != POSITIVE or not _has_code(observation.code, _VARIANT):
        return ""
    value_texts = [
        _value_text(component) for component in observation.component if _has_code(component.code, *_VARIANT_NAMES)
    ]
    states = [
        _value_text(component) for component in observation.component if _has_code(component.code, _ALLELIC_STATE)
    ]
    return f"{value_texts[0]} {states[0].lower()}" if value_texts and len(states) == 1 else ""


def _has_code(code: CodeableConcept, *wanted: str) -> bool:
    return any(coding.code in wanted for coding in code.coding)


def _answer_words(part: Observation | ObservationComponent) -> str:
    """Return the meaning of an answer code, '' where there is none of the table."""
    concept = part.valueCodeableConcept
    for coding in concept.coding if concept is not None else ():
        row = codes("answer").get(coding.code)
        if row is not None:
            return row["meaning"]
    return ""


def _presence(part: Observation | ObservationComponent) -> str | None:
    concept = part.valueCodeableConcept
    for coding in concept.coding if concept is not None else ():
        presence_answer = _PRESENCE_ANSWERS.get(coding.code)
        if presence_answer is not None:
            return presence_answer
    if _answer_words(part) in (POSITIVE, NEGATIVE):
        return _answer_words(part)
    if isinstance(part, Observation) and part.valueBoolean is not None:
        return "positive" if part.valueBoolean else "negative"
    text = _value_text(part)
    if text:
        return presence_of(text) or presence_of(without_advice(text))
    for interpretation in part.interpretation:
        if interpretation.has("POS") or interpretation.has("NEG"):
            return "positive" if interpretation.has("POS") else "negative"
    return None


def _score(part: Observation | ObservationComponent, gene: str) -> Translation | None:
    """Return an activity score as a number; only where the code says that the number is one."""
    quantity: Quantity | None = part.valueQuantity
    value = quantity.value if quantity is not None else part.valueInteger
    if value is None or not any("score" in text.lower() for text in part.code.texts):
        return None
    comparator = {"": "", ">": ">", ">=": "≥"}.get((quantity.comparator if quantity is not None else None) or "")
    if comparator is None:  # "below 1" is no score
        return None
    return next(iter(translate(gene, f"activity score {comparator}{value:g}")), None)
