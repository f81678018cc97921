"""Translates what a report says about one gene into lookup keys: genotypes, phenotypes, activity scores, presence.

A text is translated only where every part of it is understood. An allele that the tables do not have, and words that
are not known, give no key: their meaning is never guessed.
"""

import re
from collections.abc import Iterator

from fhir.mapping.genomics.tables import (
    allele_of,
    genes,
    hla_alleles,
    key_of_pair,
    keys_of_phenotype,
    score_key,
)
from fhir.mapping.genomics.words import Translation, presence_of, spelled, translate_hla, without_labels
from fhir.terminology.caching import remembered

_ABBREVIATIONS = {
    "um": "ultrarapid", "rm": "rapid", "nm": "normal", "em": "normal", "im": "intermediate", "pm": "poor",
    "extensive": "normal",
}  # fmt: skip
_METABOLIZER = re.compile(
    r"(?:(?P<likely>likely|possible|probable) )?"
    r"(?P<speed>ultrarapid|rapid|normal|extensive|intermediate|poor|um|rm|nm|em|im|pm)(?: metabolizers?)?(?: status)?"
)
_FUNCTION = re.compile(r"(?:(?P<likely>possible) )?(?P<much>increased|normal|decreased|poor)(?: function)?")
_ACETYLATOR = re.compile(r"(?P<speed>slow|poor|intermediate|rapid|fast) acetylators?")
# CPIC 2015: a CYP3A5 expresser is a normal or an intermediate metabolizer, a nonexpresser a poor one.
_EXPRESSER = re.compile(r"(?P<none>non[- ]?)?express[eo]r")
_SCORE = re.compile(
    r"(?:(?:activity score|as|score)\s*(?:of|is|=|:)?\s*)?(?P<least>≥|>=)?\s*(?P<score>\d(?:[.,]\d{1,2})?)"
)
_OWN_WORDS = {
    "deficiency": "deficient",
    "g6pd deficiency": "deficient",
    "mh susceptible": "malignant hyperthermia susceptibility",
    "malignant hyperthermia susceptible": "malignant hyperthermia susceptibility",
    "uncertain": "uncertain susceptibility",
    "increased risk": "increased risk of aminoglycoside-induced hearing loss",
    "normal risk": "normal risk of aminoglycoside-induced hearing loss",
    "inconclusive": "indeterminate",
}
_LABELS = ("", "activity score", "score", "status")
_SEGMENT = re.compile(r"\s*(?:,(?!\d)|[;()\[\]:]|\s[-–—]\s|\bwith\b)\s*")
_ALTERNATIVE = re.compile(r"\s+or\s+|\s*;\s*", re.IGNORECASE)
_PAIR = re.compile(r"\s*[/|]\s*")
_ZYGOSITY = re.compile(
    r"^(?:(?P<before>hetero|homo)zygous(?: for)?[: ]+)?(?P<name>.+?)(?:[\s,(]+(?P<after>hetero|homo)zygous\)?)?$",
    re.IGNORECASE,
)
_STARS = re.compile(
    r"\*\s*\d|^[acgt]\s*[/|]?\s*[acgt]$|\brs\d+|\b[cm]\.\d|\breference\b|[acgt]>[acgt]|[acgt]\d{3,}[acgt]",
    re.IGNORECASE,
)
_MITOCHONDRIAL = re.compile(
    r"^m?\.?(?:(?P<number>\d+)(?P<from>[ACGT])>(?P<to>[ACGT])|(?P<a>[ACGT])(?P<n>\d+)(?P<b>[ACGT]))$", re.IGNORECASE
)
_VKORC1 = re.compile(
    r"^(?:-?1639\s*(?:g>a)?|rs9923231(?: variant)?)?[\s:(]*(?P<one>[acgt])\s*[/|]?\s*(?P<other>[acgt])\)?$",
    re.IGNORECASE,
)
# FDA's table (read 2026-08-13): "521 TC or 521 CC (intermediate or poor function transporters)".
_SLCO1B1 = re.compile(r"^(?:c\.)?521\s*(?:t>c)?[\s:]*(?P<pair>t/?c|c/?t|c/?c)$", re.IGNORECASE)


@remembered("texts about genes", entries=4096, longest=300)
def translate(gene: str, text: str) -> tuple[Translation, ...]:
    """Everything a text says about the gene, () where a part of it is not understood.

    >>> [one.keys for one in translate("CYP2C19", "CYP2C19 *2/*17 (intermediate metaboliser)")]
    [('Intermediate Metabolizer',), ('Intermediate Metabolizer',)]
    >>> translate("CYP2C19", "*2/*99")
    ()
    """
    if gene in hla_alleles():
        return tuple(translate_hla(gene, text))
    plain = _without_gene(gene, text)
    genotype = _genotype(gene, plain)
    if genotype is not None:
        return (genotype,) if genotype.keys else ()
    if whole := _phenotype(gene, without_labels(plain)):
        return (Translation(gene, "phenotype", whole),)
    found: list[Translation] = []
    for segment in filter(None, map(str.strip, _SEGMENT.split(plain))):
        one = _segment(gene, segment)
        if one is None:
            return ()
        if one.keys:
            found.append(one)
    return tuple(found)


def _segment(gene: str, segment: str) -> Translation | None:
    """One part of a text; without keys where it is only a label, None where it is not understood."""
    genotype = _genotype(gene, segment)
    if genotype is not None:
        return genotype if genotype.keys else None
    words = without_labels(segment)
    if words in _LABELS or (gene == "MT-RNR1" and words in ("positive", "detected", "present")):
        return Translation(gene, "phenotype", ())
    keys = _phenotype(gene, words)
    if keys:
        return Translation(gene, "phenotype", keys)
    score = _score(gene, spelled(segment))
    return Translation(gene, "score", (score,)) if score is not None else None


def _without_gene(gene: str, text: str) -> str:
    return re.sub(rf"\b{re.escape(gene)}\b\s*(?:gene\b)?[:\s]*", "", text, flags=re.IGNORECASE).strip(" :")


# Genotypes


def _genotype(gene: str, text: str) -> Translation | None:
    """The diplotypes of a text that is one; without keys where an allele is not known, None where it is no genotype."""
    text = re.sub(r"^(?:genotype|diplotype|result|star alleles?)\b[:\s]*", "", text.strip(), flags=re.IGNORECASE)
    whole = _known_pair(gene, text)
    if whole is not None:
        return Translation(gene, "genotype", whole)
    if not _STARS.search(text):
        return None
    found = _alternatives(gene, text)
    has_parts = len(list(filter(None, _SEGMENT.split(text)))) > 1
    return None if found is not None and not found.keys and has_parts else found


def _alternatives(gene: str, text: str) -> Translation | None:
    keys: list[str] = []
    for one in _ALTERNATIVE.split(text):
        found = _known_pair(gene, one.strip(" []()"))
        if found is None:
            return Translation(gene, "genotype", ()) if _PAIR.search(text) else None
        keys += found
    return Translation(gene, "genotype", tuple(dict.fromkeys(keys)))


def _known_pair(gene: str, text: str) -> tuple[str, ...] | None:
    """The keys of one diplotype, None where the tables do not know an allele of it or it is not one."""
    if gene == "MT-RNR1":
        return _of_mitochondria(text)
    if gene == "SLCO1B1" and (at_521 := _SLCO1B1.match(text)):
        return ("Poor Function",) if at_521["pair"].lower().replace("/", "") == "cc" else ("Decreased Function",)
    if gene == "VKORC1" and (at_1639 := _VKORC1.match(text)):
        return _keys(gene, at_1639["one"], at_1639["other"])
    names = [_bare(gene, name) for name in _PAIR.split(text)]
    if len(names) == 2:
        return _keys(gene, names[0], names[1])
    return _by_zygosity(gene, names[0]) if len(names) == 1 else None


def _bare(gene: str, name: str) -> str:
    """An allele's name without the gene before it; rs2231142 is the only position of ABCG2 in the tables."""
    name = re.sub(rf"^{re.escape(gene)}\s*", "", name.strip(), flags=re.IGNORECASE)
    return re.sub(r"^rs2231142\s+(?=[GT]$)", "", name, flags=re.IGNORECASE) if gene == "ABCG2" else name


def _by_zygosity(gene: str, text: str) -> tuple[str, ...] | None:
    """A variant with "homozygous", or with "heterozygous" where the table has a reference allele beside it."""
    if gene == "ABCG2" and (found := re.fullmatch(r"(?:rs2231142[: ]*)?([GT])([GT])", text, re.IGNORECASE)):
        return _keys(gene, found[1], found[2])
    match = _ZYGOSITY.match(text)
    zygosity = ((match["before"] or match["after"] or "") if match else "").lower()
    if match is None or not zygosity:
        return None
    name = match["name"]
    return _keys(gene, name, name) if zygosity == "homo" else _keys(gene, "Reference", name)


def _keys(gene: str, first: str, second: str) -> tuple[str, ...] | None:
    one, other = allele_of(gene, first), allele_of(gene, second)
    key = key_of_pair(gene, one, other) if one is not None and other is not None else None
    return (key,) if key is not None else None


def _of_mitochondria(text: str) -> tuple[str, ...] | None:
    """One variant of the mitochondria: "m.1555A>G", "1555A>G", "A1555G"; that one is absent says nothing."""
    words = re.sub(r"\s+(?:positive|detected|present|homoplasmic)$", "", text.strip(), flags=re.IGNORECASE)
    match = _MITOCHONDRIAL.match(words)
    if match is not None:
        words = f"m.{match['number'] or match['n']}{match['from'] or match['a']}>{match['to'] or match['b']}"
    allele = allele_of("MT-RNR1", words)
    key = key_of_pair("MT-RNR1", allele, None) if allele is not None else None
    return (key,) if key is not None else None


# Phenotypes


def _phenotype(gene: str, words: str) -> tuple[str, ...]:
    if gene == "CYP3A5" and (match := _EXPRESSER.fullmatch(words)):
        return ("Poor Metabolizer",) if match["none"] else ("Intermediate Metabolizer", "Normal Metabolizer")
    return next((keys for name in _phenotype_names(gene, words) if (keys := keys_of_phenotype(gene, name))), ())


def phenotype_named(text: str) -> str:
    """The phenotype that words name without a gene, as the tables write it; positive or negative for an allele.

    >>> phenotype_named("poor metaboliser"), phenotype_named("see report")
    ('poor metabolizer', '')
    """
    words = spelled(text)
    names = [name for name in _phenotype_names("", words) if name.endswith((" metabolizer", " function"))]
    return names[-1] if names else presence_of(text) or ""


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


def _score(gene: str, words: str) -> str | None:
    if genes()[gene].lookup != "activity_score":
        return None
    match = _SCORE.fullmatch(words)
    if match is None:
        return None
    return score_key(gene, float(match["score"].replace(",", ".")), at_least=match["least"] is not None)
