"""Translates what a report says about one gene into lookup keys: genotypes, phenotypes, activity scores, presence.

A text is translated only where every part of it is understood. An allele that the tables do not have, and words that
are not known, give no key: their meaning is never guessed.
"""

import re
from collections.abc import Iterator

from fhir.mapping.genomics.tables import (
    GENES,
    HLA_ALLELES,
    allele_of,
    key_of_pair,
    keys_of_phenotype,
    score_key,
    scores_above,
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
    r"(?:(?:activity score|as|score)\s*(?:of|is|=|:)?\s*)?(?P<least>≥|>=)?(?P<more>>)?\s*(?P<score>\d(?:[.,]\d{1,2})?)"
)
_OWN_WORDS = {
    "deficiency": "deficient",
    "g6pd deficiency": "deficient",
    "mhs": "malignant hyperthermia susceptibility",
    "mh susceptible": "malignant hyperthermia susceptibility",
    "malignant hyperthermia susceptible": "malignant hyperthermia susceptibility",
    "uncertain": "uncertain susceptibility",
    "increased risk": "increased risk of aminoglycoside-induced hearing loss",
    "normal risk": "normal risk of aminoglycoside-induced hearing loss",
    "inconclusive": "indeterminate",
}
_LABELS = ("", "activity score", "score", "status")
_SEGMENT = re.compile(
    r"\s*(?:,(?!\d)|[;()\[\]:]|\s[-–—]\s|"
    r"\b(?:consistent with|with|predicts|predicting|indicates|indicating|suggests|corresponds to|based on)\b)\s*",
    re.IGNORECASE,
)
_WORDS_AFTER_PAIR = re.compile(
    r"(?P<pair>\*[\w≥+]+\s*[/|]\s*\*[\w≥+*]+)\s+(?!or\b|h(?:om|eter)ozyg)(?=[a-z])", re.IGNORECASE
)
# HGVS: c.[1905+1G>A];[=] is the variant on one copy and the reference on the other; laboratories write stars so, too.
_TWO_COPIES = re.compile(r"^(?P<kind>c\.)?\[(?P<one>[^\[\];]+)\];\s*\[(?P<other>[^\[\];]+)\]$")
# "*4xN": several copies, how many is not said; "(*1/*2)xN": nor which of the two.
_COPIES = re.compile(r"(?P<allele>\*\d+[a-z]?)\s?[x×](?P<count>n|\d+)", re.IGNORECASE)
_EITHER_COPIES = re.compile(r"\((?P<one>\*\d+)\s*/\s*(?P<other>\*\d+)\)\s*(?P<copies>[x×](?:n|\d+))", re.IGNORECASE)
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
    r"^(?:(?:c\.)?-?1639\s*(?:g>a)?|rs9923231(?: variant)?)?[\s:(]*(?P<one>[acgt])\s*[/|]?\s*(?P<other>[acgt])\)?$",
    re.IGNORECASE,
)
_VKORC1_ZYGOSITY = re.compile(r"^(?:c\.)?-?1639\s*g>a\s+\(?(?P<zygosity>hetero|homo)zygous\)?$", re.IGNORECASE)
# FDA's table (read 2026-08-13): "521 TC or 521 CC (intermediate or poor function transporters)".
# rs4149056 is that position (CPIC 2022, statins).
_SLCO1B1 = re.compile(r"^(?:(?:c\.)?521\s*(?:t>c)?|rs4149056)[\s:(]*(?P<pair>t/?c|c/?t|c/?c)\)?$", re.IGNORECASE)
_SLCO1B1_ZYGOSITY = re.compile(r"^(?:c\.)?521\s*t>c\s+\(?(?P<zygosity>hetero|homo)zygous\)?$", re.IGNORECASE)
_PAIR_AND_ZYGOSITY = re.compile(
    r"^(?P<pair>[^/|]+[/|][^/|]+?)[\s,(]+(?P<zygosity>hetero|homo)zygous\)?$", re.IGNORECASE
)


@remembered("texts about genes", entries=4096, longest=300)
def translate(gene: str, text: str) -> tuple[Translation, ...]:
    """Everything a text says about the gene, () where a part of it is not understood.

    >>> [one.keys for one in translate("CYP2C19", "CYP2C19 *2/*17 (intermediate metaboliser)")]
    [('Intermediate Metabolizer',), ('Intermediate Metabolizer',)]
    >>> translate("CYP2C19", "*2/*99")
    ()
    """
    if gene in HLA_ALLELES:
        return tuple(translate_hla(gene, text))
    plain = _WORDS_AFTER_PAIR.sub(r"\g<pair>; ", _without_gene(gene, text))
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
    scores = _scores(gene, spelled(segment))
    return Translation(gene, "score", scores) if scores else None


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
    at_position = _of_one_position(gene, text)
    if at_position is not None:
        return at_position
    if gene == "CYP2D6" and (either := _EITHER_COPIES.fullmatch(text)):
        one, other, copies = either["one"], either["other"], either["copies"]
        return _united(_keys(gene, f"{one}{copies}", other), _keys(gene, one, f"{other}{copies}"))
    pair = _as_pair(text)
    names = [_bare(gene, name) for name in _PAIR.split(pair)] if pair is not None else []
    if len(names) == 2:
        return _keys(gene, names[0], names[1])
    return _by_zygosity(gene, names[0]) if len(names) == 1 else None


def _of_one_position(gene: str, text: str) -> tuple[str, ...] | None:
    """The keys of a genotype at the one position that decides for SLCO1B1 (521T>C) or VKORC1 (-1639G>A)."""
    if gene == "SLCO1B1" and (at_521 := _SLCO1B1.match(text)):
        return ("Poor Function",) if at_521["pair"].lower().replace("/", "") == "cc" else ("Decreased Function",)
    if gene == "SLCO1B1" and (found := _SLCO1B1_ZYGOSITY.match(text)):
        return ("Poor Function",) if found["zygosity"].lower() == "homo" else ("Decreased Function",)
    if gene == "VKORC1" and (at_1639 := _VKORC1.match(text)):
        return _keys(gene, at_1639["one"], at_1639["other"])
    if gene == "VKORC1" and (found := _VKORC1_ZYGOSITY.match(text)):
        return _keys(gene, "A" if found["zygosity"].lower() == "homo" else "G", "A")
    return None


def _as_pair(text: str) -> str | None:
    """The text with its two alleles as "one/other"; None where its zygosity contradicts them."""
    if copies := _TWO_COPIES.match(text):
        kind = copies["kind"] or ""
        return "/".join("Reference" if one == "=" else f"{kind}{one}" for one in (copies["one"], copies["other"]))
    if said := _PAIR_AND_ZYGOSITY.match(text):
        one, other = (name.strip().lower() for name in _PAIR.split(said["pair"]))
        return said["pair"] if (one == other) == (said["zygosity"].lower() == "homo") else None
    return text


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
    return _united(
        *(_key(gene, one, other) for one in _with_copies(gene, first) for other in _with_copies(gene, second))
    )


def _key(gene: str, first: str, second: str) -> tuple[str, ...] | None:
    one, other = allele_of(gene, first), allele_of(gene, second)
    key = key_of_pair(gene, one, other) if one is not None and other is not None else None
    return (key,) if key is not None else None


def _united(*found: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """All the keys, each once; None where one of the alternatives has none."""
    if None in found:
        return None
    return tuple(dict.fromkeys(key for keys in found for key in keys or ()))


def _with_copies(gene: str, name: str) -> tuple[str, ...]:
    """The name as CYP2D6's table writes copies: two, or three and more; both where the count is not said."""
    match = _COPIES.fullmatch(name.replace(" ", "")) if gene == "CYP2D6" else None
    if match is None or allele_of(gene, name) is not None:
        return (name,)
    two, more = f"{match['allele']}x2", f"{match['allele']}x≥3"
    if match["count"].lower() == "n":
        return (two, more)
    return (more,) if int(match["count"]) >= 3 else (name,)


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
