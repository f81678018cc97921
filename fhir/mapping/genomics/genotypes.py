"""Translates genotypes of one gene into lookup keys: pairs of alleles, one variant with its zygosity, one position.

Both alleles have to be in the tables; what is not there has no key.
"""

import re
from collections.abc import Mapping
from typing import Final

from fhir.mapping.genomics.tables import allele_of, bases_of, key_of_pair, keys_of_functions
from fhir.mapping.genomics.words import Translation

SEGMENT: Final = re.compile(
    r"\s*(?:,(?!\d)|[;()\[\]:]|\s[-–—]\s|"
    r"\b(?:consistent with|with|predicts|predicting|indicates|indicating|suggests|corresponds to|based on)\b)\s*",
    re.IGNORECASE,
)
"""What separates the parts of a report's text."""
# HGVS: c.[1905+1G>A];[=] is the variant on one copy and the reference on the other; laboratories write stars so, too.
_TWO_COPIES = re.compile(r"^(?P<kind>c\.)?\[(?P<one>[^\[\];]+)\];\s*\[(?P<other>[^\[\];]+)\]$")
_UNCHANGED = re.compile(r"(?:\d+(?:[+-]\d+)?)?=")
# "*4xN": several copies, how many is not said; "(*1/*2)xN": nor which of the two.
_COPIES = re.compile(r"(?P<allele>\*\d+[a-z]?)\s?[x×](?P<count>n|\d+)", re.IGNORECASE)
_EITHER_COPIES = re.compile(r"\((?P<one>\*\d+)\s*/\s*(?P<other>\*\d+)\)\s*(?P<copies>[x×](?:n|\d+))", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"\s+or\s+|\s*;\s*", re.IGNORECASE)
_PAIR = re.compile(r"\s*[/|]\s*")
_ZYGOSITY = re.compile(
    r"^(?:(?P<before>hetero|homo)zygous(?: for)?[: ]+)?(?P<name>.+?)(?:[\s,(]{1,3}(?P<after>hetero|homo)zygous\)?)?$",
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
    r"^(?:(?:c\.)?-?1639\s*(?:g>a)?|rs9923231(?: variant)?(?: [acgt]>[acgt])?)?[\s:(]*"
    r"(?P<one>[acgt])\s*[/|]?\s*(?P<other>[acgt])\)?$",
    re.IGNORECASE,
)
_VKORC1_ZYGOSITY = re.compile(r"^(?:c\.)?-?1639\s*g>a\s+\(?(?P<zygosity>hetero|homo)zygous\)?$", re.IGNORECASE)
# FDA's table (read 2026-08-13): "521 TC or 521 CC (intermediate or poor function transporters)".
# rs4149056 is that position (CPIC 2022, statins).
_SLCO1B1 = re.compile(
    r"^(?:(?:c\.)?521\s*(?:t>c)?|rs4149056(?:\s+t>c)?)[\s:(]*(?P<pair>t/?c|c/?t|c/?c|t/?t)\)?$", re.IGNORECASE
)
# CPIC 2014 (simvastatin): TT of rs4149056 is normal function.
_AT_521 = {"cc": "Poor Function", "tt": "Normal Function"}
_SLCO1B1_ZYGOSITY = re.compile(r"^(?:c\.)?521\s*t>c\s+\(?(?P<zygosity>hetero|homo)zygous\)?$", re.IGNORECASE)
_SLCO1B1_CHANGE = re.compile(r"\b(?:p\.)?(?:Val174Ala|V174A)\b", re.IGNORECASE)
_LETTERS = re.compile(
    r"(?P<name>rs\d+|(?:c\.)?-?\d+(?:[ACGT]>[ACGT])?|IVS14\+1G>A|c\.1905\+1G>A)(?:\s+[ACGT]>[ACGT])?[\s:(]*"
    r"(?P<one>[ACGT])\s*[/|]?\s*(?P<other>[ACGT])\)?",
    re.IGNORECASE,
)
# What a function of CPIC's tables is called. "Loss of function" is an allele without function only for CYP2C19: for
# other genes it is said of decreased function, too.
_FUNCTION_CALLED: Final[Mapping[str, str]] = {
    "no": "No function", "nonfunctional": "No function", "null": "No function", "normal": "Normal function",
    "decreased": "Decreased function", "reduced": "Decreased function", "increased": "Increased function",
    "lof": "No function", "loss of": "No function",
}  # fmt: skip
_FUNCTION: Final = r"(?:(?:no|normal|decreased|reduced|increased|loss[- ]of)[- ]function|non-?functional|null|lof)"
_TWO_FUNCTIONS = re.compile(
    rf"(?=(?P<lof>.*\b(?:lof|loss))?)(?:(?:two|2|homozygous(?: for)?) (?P<both>{_FUNCTION})(?: alleles?| variants?)?"
    rf"|(?:one |1 )?(?P<one>{_FUNCTION})(?: alleles?)?(?:\s*[/|]\s*|\s+and\s+)(?:one |1 )?(?P<other>{_FUNCTION})"
    r"(?: alleles?)?)",
    re.IGNORECASE,
)
_STRAND = str.maketrans("ACGT", "TGCA")
_PAIR_AND_ZYGOSITY = re.compile(
    r"^(?P<pair>[^/|]+[/|][^/|]+?)[\s,(]{1,3}(?P<zygosity>hetero|homo)zygous\)?$", re.IGNORECASE
)


def genotype_of(gene: str, text: str) -> Translation | None:
    """Read the diplotypes of a text; without keys where an allele is not known, None where it is no genotype."""
    text = re.sub(r"^(?:genotype|diplotype|result|star alleles?)\b[:\s]*", "", text.strip(), flags=re.IGNORECASE)
    whole = _of_functions(gene, text) or _known_pair(gene, text)
    if whole is not None:
        return Translation(gene, "genotype", whole)
    if not _STARS.search(text):
        return None
    alternatives = _alternatives(gene, text)
    has_parts = len(list(filter(None, SEGMENT.split(text)))) > 1
    return None if alternatives is not None and not alternatives.keys and has_parts else alternatives


def _of_functions(gene: str, text: str) -> tuple[str, ...] | None:
    """Read the keys of two alleles that are named by function: "no function/no function", "two no function alleles".

    A gene with an activity score has the keys of every value that an allele of that function can have.
    """
    match = _TWO_FUNCTIONS.fullmatch(text.strip(" ."))
    if match is None or (match["lof"] and gene != "CYP2C19"):
        return None
    both = [_FUNCTION_CALLED.get(_spaced(match[name]), "") for name in ("both", "one", "other") if match[name]]
    return keys_of_functions(gene, *(both * 2)[:2]) or None


def _spaced(words: str) -> str:
    return words.lower().replace("-", " ").replace("non functional", "nonfunctional").removesuffix(" function")


def _alternatives(gene: str, text: str) -> Translation | None:
    keys: list[str] = []
    for part in _ALTERNATIVE.split(text):
        pair = _known_pair(gene, part.strip(" []()"))
        if pair is None:
            return Translation(gene, "genotype", ()) if _PAIR.search(text) else None
        keys += pair
    return Translation(gene, "genotype", tuple(dict.fromkeys(keys)))


def _known_pair(gene: str, text: str) -> tuple[str, ...] | None:
    """Return the keys of one diplotype, None where the tables do not know an allele of it or it is not one."""
    if gene == "MT-RNR1":
        return _of_mitochondria(text)
    at_position = _of_one_position(gene, text)
    if at_position is not None:
        return at_position
    if gene == "CYP2D6" and (either := _EITHER_COPIES.fullmatch(text)):
        first, other, copies = either["one"], either["other"], either["copies"]
        return _united(_keys(gene, f"{first}{copies}", other), _keys(gene, first, f"{other}{copies}"))
    pair = _as_pair(text)
    names = [_bare(gene, name) for name in _PAIR.split(pair)] if pair is not None else []
    if len(names) == 2:
        return _keys(gene, names[0], names[1])
    return _by_zygosity(gene, names[0]) if len(names) == 1 else None


def _of_one_position(gene: str, text: str) -> tuple[str, ...] | None:
    """Return the keys of a genotype at the one position that decides for SLCO1B1 (521T>C) or VKORC1 (-1639G>A)."""
    if (match := _LETTERS.fullmatch(text)) and (bases := bases_of(gene, match["name"])) is not None:
        return _by_letters(gene, match["name"], bases, {match["one"].upper(), match["other"].upper()})
    if gene == "SLCO1B1":
        text = _SLCO1B1_CHANGE.sub("521T>C", text)
    if gene == "SLCO1B1" and (at_521 := _SLCO1B1.match(text)):
        return (_AT_521.get(at_521["pair"].lower().replace("/", ""), "Decreased Function"),)
    if gene == "SLCO1B1" and (match := _SLCO1B1_ZYGOSITY.match(text)):
        return ("Poor Function",) if match["zygosity"].lower() == "homo" else ("Decreased Function",)
    if gene == "VKORC1" and (at_1639 := _VKORC1.match(text)):
        return _keys(gene, at_1639["one"], at_1639["other"])
    if gene == "VKORC1" and (match := _VKORC1_ZYGOSITY.match(text)):
        return _keys(gene, "A" if match["zygosity"].lower() == "homo" else "G", "A")
    return None


def _as_pair(text: str) -> str | None:
    """Return the text with its two alleles as "one/other"; None where its zygosity contradicts them."""
    if copies := _TWO_COPIES.match(text):
        kind = copies["kind"] or ""
        both = (copies["one"], copies["other"])
        # No change at one position on either copy says nothing of the gene's other positions.
        if all(allele != "=" and _UNCHANGED.fullmatch(allele) for allele in both):
            return None
        return "/".join("Reference" if _UNCHANGED.fullmatch(allele) else f"{kind}{allele}" for allele in both)
    if match := _PAIR_AND_ZYGOSITY.match(text):
        first_allele, other = (name.strip().lower() for name in _PAIR.split(match["pair"]))
        return match["pair"] if (first_allele == other) == (match["zygosity"].lower() == "homo") else None
    return text


def _bare(gene: str, name: str) -> str:
    """Return an allele's name without the gene before it; rs2231142 is the only position of ABCG2 in the tables."""
    name = re.sub(rf"^{re.escape(gene)}\s*", "", name.strip(), flags=re.IGNORECASE)
    return re.sub(r"^rs2231142\s+(?=[GT]$)", "", name, flags=re.IGNORECASE) if gene == "ABCG2" else name


def _by_zygosity(gene: str, text: str) -> tuple[str, ...] | None:
    """Return a variant with "homozygous", or with "heterozygous" where the table has a reference allele beside it."""
    if gene == "ABCG2" and (bases := re.fullmatch(r"(?:rs2231142[: ]*)?([GT])([GT])", text, re.IGNORECASE)):
        return _keys(gene, bases[1], bases[2])
    match = _ZYGOSITY.match(text)
    zygosity = ((match["before"] or match["after"] or "") if match else "").lower()
    if match is None or not zygosity:
        return None
    name = match["name"]
    return _keys(gene, name, name) if zygosity == "homo" else _keys(gene, "Reference", name)


def _by_letters(gene: str, name: str, bases: tuple[str, str], letters: set[str]) -> tuple[str, ...] | None:
    """Return a variant with the bases of both copies, read on either strand: "rs4244285 A/A", "c.681G>A G/A".

    The reference on both copies says nothing of the gene's other variants.
    """
    reference, variant = bases
    for base, other in ((reference, variant), (reference.translate(_STRAND), variant.translate(_STRAND))):
        if letters == {other}:
            return _keys(gene, name, name)
        if letters == {base, other}:
            return _keys(gene, "Reference", name)
    return None


def _keys(gene: str, first: str, second: str) -> tuple[str, ...] | None:
    return _united(
        *(_key(gene, left, right) for left in _with_copies(gene, first) for right in _with_copies(gene, second))
    )


def _key(gene: str, first: str, second: str) -> tuple[str, ...] | None:
    first_allele, other = allele_of(gene, first), allele_of(gene, second)
    key = key_of_pair(gene, first_allele, other) if first_allele is not None and other is not None else None
    return (key,) if key is not None else None


def _united(*alternatives: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """All the keys, each once; None where one of the alternatives has none."""
    if None in alternatives:
        return None
    return tuple(dict.fromkeys(key for keys in alternatives for key in keys or ()))


def _with_copies(gene: str, name: str) -> tuple[str, ...]:
    """Return the name as CYP2D6's table writes copies: two, or three and more; both where the count is not said."""
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
