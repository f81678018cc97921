"""Translates what a report says about one gene into lookup keys: genotypes, phenotypes, activity scores, presence.

A text is translated only where every part of it is understood. An allele that the tables do not have, and words that
are not known, give no key: their meaning is never guessed.
"""

import re
from collections.abc import Iterator

from fhir.mapping.genomics.genotypes import SEGMENT, genotype_of
from fhir.mapping.genomics.remarks import without_advice
from fhir.mapping.genomics.spelling import unified, unified_terms
from fhir.mapping.genomics.tables import GENES, HLA_ALLELES, keys_of_phenotype, score_key, scores_above
from fhir.mapping.genomics.words import (
    Translation,
    presence_of,
    spelled,
    translate_hla,
    without_gene,
    without_labels,
)
from fhir.terminology.late_pattern import late_pattern
from fhir.terminology.time_limit import check_time

_ABBREVIATIONS = {
    "um": "ultrarapid", "urm": "ultrarapid", "rm": "rapid", "nm": "normal", "em": "normal", "im": "intermediate",
    "pm": "poor", "extensive": "normal",
}  # fmt: skip
_METABOLIZER = late_pattern(
    r"(?:(?P<likely>likely|possible|probable) )?"
    r"(?P<speed>ultrarapid|rapid|normal|extensive|intermediate|poor|urm|um|rm|nm|em|im|pm)"
    r"(?: metabolizers?)?(?: status)?"
)
_FUNCTION = late_pattern(r"(?:(?P<likely>possible) )?(?P<much>increased|normal|decreased|poor)(?: function)?")
_ACETYLATOR = late_pattern(r"(?P<speed>slow|poor|intermediate|rapid|fast) acetylators?")
# CPIC 2015: a CYP3A5 expresser is a normal or an intermediate metabolizer, a nonexpresser a poor one.
_EXPRESSER = late_pattern(r"(?P<none>non[- ]?)?express[eo]r")
_SCORE = late_pattern(
    r"(?:(?:(?:total |gene )?activity score|as|score)\s*(?:of|is|=|:)?\s*)?"
    r"(?P<least>≥|>=)?(?P<more>>)?\s*(?P<score>\d(?:[.,]\d{1,2})?)"
)
_OWN_WORDS = {
    "deficiency": "deficient",
    "g6pd deficiency": "deficient",
    "deficient detected": "deficient",
    "deficient present": "deficient",
    "mhs": "malignant hyperthermia susceptibility",
    "mh susceptibility": "malignant hyperthermia susceptibility",
    "mh susceptible": "malignant hyperthermia susceptibility",
    "malignant hyperthermia susceptible": "malignant hyperthermia susceptibility",
    "uncertain": "uncertain susceptibility",
    "increased risk": "increased risk of aminoglycoside-induced hearing loss",
    "normal risk": "normal risk of aminoglycoside-induced hearing loss",
    "inconclusive": "indeterminate",
}
_DEFICIENCY = late_pattern(r"(?:enzyme )?deficien(?:t|cy)(?: of)?")
_ENZYMES = ("DPYD", "NUDT15", "TPMT")
_LABELS = ("", "activity score", "score", "status", "as")
# The parts of a text; a bracket may belong to the name of an allele.
_PART = late_pattern(r"\s*(?:,(?!\d)|;)\s*")
# A variant that was looked for and is not there takes nothing away from the one that is.
_NOT_FOUND = late_pattern(r"c\.[\d+_-]+[A-Za-z>]+(?:\s*\(\*\w+\))?:? not (?:detected|found|present)", re.IGNORECASE)
_WORDS_AFTER_PAIR = late_pattern(
    r"(?P<pair>\*[\w≥+]+\s*[/|]\s*\*[\w≥+*]+)\s+(?!or\b|h(?:om|eter)ozyg)(?=[a-z])", re.IGNORECASE
)


def translate(gene: str, text: str) -> tuple[Translation, ...]:
    """Everything a text says about the gene, () where a part of it is not understood.

    >>> [one.keys for one in translate("CYP2C19", "CYP2C19 *2/*17 (intermediate metaboliser)")]
    [('Intermediate Metabolizer',), ('Intermediate Metabolizer',)]
    >>> translate("CYP2C19", "*2/*99")
    ()
    """
    return _translate(gene, text) or (_translate(gene, plain) if (plain := without_advice(text)) != text else ())


def _translate(gene: str, text: str) -> tuple[Translation, ...]:
    check_time()
    if gene in HLA_ALLELES:
        return tuple(translate_hla(gene, text))
    plain = _WORDS_AFTER_PAIR.sub(r"\g<pair>; ", unified(gene, without_gene(gene, text)))
    genotype = genotype_of(gene, plain)
    if genotype is not None:
        return (genotype,) if genotype.keys else ()
    if whole := _phenotype(gene, unified_terms(gene, without_labels(plain))):
        return (Translation(gene, "phenotype", whole),)
    return _of_parts(gene, plain)


def _of_parts(gene: str, plain: str) -> tuple[Translation, ...]:
    """What the parts of a text say; () where one of them is not understood."""
    translations: list[Translation] = []
    for part in filter(None, (piece.strip(" .-–—") for piece in _PART.split(plain))):
        variant = genotype_of(gene, part) if "(" in part else None
        parts = [part] if variant is not None and variant.keys else SEGMENT.split(part)
        meanings_of_part = _of_segments(gene, parts)
        if meanings_of_part is None:
            return ()
        translations += meanings_of_part
    return tuple(translations)


def _of_segments(gene: str, segments: list[str]) -> list[Translation] | None:
    meanings = []
    for segment in filter(None, (segment.strip(" .-–—") for segment in segments)):
        meaning = _segment(gene, segment)
        if meaning is None:
            return None
        if meaning.keys:
            meanings.append(meaning)
    return meanings


def _segment(gene: str, segment: str) -> Translation | None:
    """One part of a text; without keys where it is only a label, None where it is not understood."""
    genotype = genotype_of(gene, segment)
    if genotype is not None:
        return genotype if genotype.keys else None
    words = unified_terms(gene, without_labels(segment))
    if (
        words in _LABELS
        or _NOT_FOUND.fullmatch(segment)
        or (gene == "MT-RNR1" and words in ("positive", "detected", "present"))
    ):
        return Translation(gene, "phenotype", ())
    keys = _phenotype(gene, words)
    if keys:
        return Translation(gene, "phenotype", keys)
    scores = _scores(gene, spelled(segment))
    return Translation(gene, "score", scores) if scores else None


# Phenotypes


def _phenotype(gene: str, words: str) -> tuple[str, ...]:
    if gene == "CYP3A5" and (match := _EXPRESSER.fullmatch(words)):
        return ("Poor Metabolizer",) if match["none"] else ("Intermediate Metabolizer", "Normal Metabolizer")
    if gene in _ENZYMES and _DEFICIENCY.fullmatch(words):  # partial or complete is not said
        return keys_of_phenotype(gene, "poor metabolizer") + keys_of_phenotype(gene, "intermediate metabolizer")
    return next((keys for name in _phenotype_names(gene, words) if (keys := keys_of_phenotype(gene, name))), ())


def phenotype_named(text: str) -> str:
    """The phenotype that words name without a gene, as the tables write it; positive or negative for an allele.

    >>> phenotype_named("poor metaboliser"), phenotype_named("see report")
    ('poor metabolizer', '')
    """
    words = spelled(without_advice(text))
    names = [name for name in _phenotype_names("", words) if name.endswith((" metabolizer", " function"))]
    return names[-1] if names else presence_of(words) or ""


def _phenotype_names(gene: str, words: str) -> Iterator[str]:
    """What the words may be called in the tables."""
    yield words
    if words in _OWN_WORDS:
        yield _OWN_WORDS[words]
    if match := _METABOLIZER.fullmatch(words):
        speed = _ABBREVIATIONS.get(match["speed"], match["speed"])
        yield f"{match['likely']} {speed} metabolizer" if match["likely"] else f"{speed} metabolizer"
    if match := _FUNCTION.fullmatch(words):
        yield f"{match['likely']} {match['much']} function" if match["likely"] else f"{match['much']} function"
    if gene == "NAT2" and (match := _ACETYLATOR.fullmatch(words)):
        yield {"slow": "poor", "fast": "rapid"}.get(match["speed"], match["speed"]) + " metabolizer"
    if gene and words.startswith(f"{gene.lower()} "):
        yield from _phenotype_names(gene, words.removeprefix(f"{gene.lower()} "))


def _scores(gene: str, words: str) -> tuple[str, ...]:
    """The key of an activity score; all keys above it where the words say "more than"."""
    match = _SCORE.fullmatch(words) if GENES[gene].lookup == "activity_score" else None
    if match is None:
        return ()
    score = float(match["score"].replace(",", "."))
    if match["more"]:
        return scores_above(gene, score)
    key = score_key(gene, score, at_least=match["least"] is not None)
    return (key,) if key is not None else ()
