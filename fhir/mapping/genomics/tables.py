"""The tables of genes, alleles and codes, in `data/`: what a laboratory may report and what it means.

Facts of CPIC (tables of 2026-08-13) and PharmCAT; `data/sources.csv` names document, version, date and license of each
row's source. A lookup key is what CPIC's recommendations are found by: a phenotype, an activity score, or whether one
HLA allele is there. Such an allele is a "gene" of its own here (`HLA-B*15:02`) with the keys positive and negative.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from fhir.terminology.package_tables import package_rows

NO_RESULT = "No Result"
POSITIVE, NEGATIVE = "positive", "negative"
_NOT_A_RESULT = frozenset({NO_RESULT})
_HLA_KEY = re.compile(r"\*(\d\d):(\d\d) (?:positive|negative)")


class Gene(Struct, frozen=True):
    """A gene by its symbol: HGNC id, by what its recommendations are looked up, and every key that they use."""

    symbol: str
    hgnc: str
    lookup: str
    keys: frozenset[str]


class Allele(Struct, frozen=True, gc=False):
    """An allele: its name in the table, its function, and its activity value where CPIC gives one."""

    name: str
    function: str
    value: str


def table_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one table of `data/`."""
    return package_rows("fhir.mapping.genomics", f"data/{name}")


GENES: Final[Mapping[str, Gene]] = {
    row["gene"]: Gene(
        row["gene"], row["hgnc"], row["lookup"], frozenset(filter(None, row["keys"].split(";"))) - _NOT_A_RESULT
    )
    for row in table_rows("genes.csv")
}
"""Every gene by its symbol, as HGNC writes it."""


GENE_OF_HGNC: Final[Mapping[str, str]] = {
    name: gene.symbol for gene in GENES.values() for name in (gene.hgnc, gene.hgnc.removeprefix("HGNC:"))
}
"""The symbol by HGNC id, with and without the prefix "HGNC:"."""


def _read_hla_alleles() -> Mapping[str, tuple[str, ...]]:
    hla_alleles = {
        gene.symbol: sorted({match[1] + ":" + match[2] for match in map(_HLA_KEY.fullmatch, gene.keys) if match})
        for gene in GENES.values()
    }
    return {symbol: tuple(alleles) for symbol, alleles in hla_alleles.items() if alleles}


HLA_ALLELES: Final[Mapping[str, tuple[str, ...]]] = _read_hla_alleles()
"""The alleles that CPIC's recommendations ask about, by gene: ("15:02", ...)."""


def _read_alleles() -> Mapping[str, Mapping[str, Allele]]:
    alleles: dict[str, dict[str, Allele]] = {}
    for row in table_rows("alleles.csv"):
        allele = Allele(row["allele"], row["function"], row["activity_value"])
        names = alleles.setdefault(row["gene"], {})
        for name in _names(row["allele"]):
            names.setdefault(name, allele)
    for row in table_rows("allele_names.csv"):
        names = alleles[row["gene"]]
        names[_plain(row["name"])] = names[_plain(row["allele"])]
    return alleles


def bases_of(gene: str, name: str) -> tuple[str, str] | None:
    """Return the reference and the variant base at a variant of that name; None where the table does not say them.

    >>> bases_of("CYP2C19", "rs4244285"), bases_of("CYP2C19", "*2")
    (('G', 'A'), None)
    """
    return _BASES.get((gene, _plain(name)))


def _read_bases() -> Mapping[tuple[str, str], tuple[str, str]]:
    rows = ((row["gene"], row["name"], row["bases"].partition(">")) for row in table_rows("allele_names.csv"))
    return {(gene, _plain(name)): (first, other) for gene, name, (first, _, other) in rows if first}


def _names(name: str) -> list[str]:
    """Return the names under which an allele is found: "c.1905+1G>A (*2A)" also as each of its two parts."""
    whole = _plain(name)
    outer, _, inner = whole.partition("(")
    parts = [outer, inner.rstrip(")")] if "*" in inner or "hap" in inner else []
    return [whole, *filter(None, parts)]


def _plain(name: str) -> str:
    return "".join(name.split()).replace(">=", "≥").lower()


_ALLELES: Final[Mapping[str, Mapping[str, Allele]]] = _read_alleles()
_BASES: Final[Mapping[tuple[str, str], tuple[str, str]]] = _read_bases()


def allele_of(gene: str, name: str) -> Allele | None:
    """Return the allele of that name, however it is spaced; None where the table does not have it.

    >>> allele_of("DPYD", "c.1905+1G>A").value, allele_of("CYP2C19", "*99")
    ('0.0', None)
    """
    gene_alleles, plain = _ALLELES.get(gene, {}), _plain(name)
    allele = gene_alleles.get(plain)
    if allele is None and "+" in plain:  # a tandem, written from either end
        allele = gene_alleles.get("+".join(reversed(plain.split("+"))))
    return allele


def _read_pairs() -> Mapping[tuple[str, str, str], str]:
    pairs: dict[tuple[str, str, str], str] = {}
    for row in table_rows("allele_pairs.csv"):
        for pair in ((row["allele_1"], row["allele_2"]), (row["allele_2"], row["allele_1"])):
            pairs[(row["gene"], *pair)] = row["key"]
    return pairs


_PAIRS: Final[Mapping[tuple[str, str, str], str]] = _read_pairs()


def key_of_pair(gene: str, first: Allele, second: Allele | None) -> str | None:
    """Return the lookup key of two alleles (of one if the gene is of the mitochondria); None if no row has the pair."""
    if gene == "CYP2D6":
        return None if second is None else _summed(first.value, second.value)
    for first_key, other in (
        (first.function, second.function if second else ""),
        (first.value, second.value if second else ""),
    ):
        pair = _PAIRS.get((gene, first_key, other))
        if pair is not None:
            return pair
    return None


def keys_of_functions(gene: str, first: str, second: str) -> tuple[str, ...]:
    """Return the lookup keys of two alleles of these functions, as the table calls them; () where it has no such pair.

    >>> keys_of_functions("CYP2C19", "No function", "Normal function")
    ('Intermediate Metabolizer',)
    >>> keys_of_functions("CYP2D6", "Decreased function", "No function")
    ('0.25', '0.5')
    """
    pairs = sorted(
        {
            (first_allele.value, other.value)
            for first_allele in _of_function(gene, first)
            for other in _of_function(gene, second)
        }
    )
    keys = (
        key_of_pair(gene, Allele("", first, first_value), Allele("", second, other)) for first_value, other in pairs
    )
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def _of_function(gene: str, function: str) -> list[Allele]:
    return [allele for allele in _ALLELES.get(gene, {}).values() if allele.function == function]


def _summed(first: str, second: str) -> str | None:
    """CYP2D6: the sum of two activity values; "at least" survives the sum, an unknown value makes it unknown."""
    if "n/a" in (first, second):
        return "n/a"
    total = float(first.lstrip("≥")) + float(second.lstrip("≥"))
    return score_key("CYP2D6", total, at_least="≥" in first + second)


def score_key(gene: str, score: float, *, at_least: bool = False) -> str | None:
    """Return the key of an activity score, None where the gene has no such score."""
    key = f"{'≥' if at_least else ''}{score}"
    return key if key in _PHENOTYPE_BY_KEY.get(gene, {}) else None


def scores_above(gene: str, score: float) -> tuple[str, ...]:
    """Return the keys of every activity score of the gene that is greater.

    >>> scores_above("CYP2D6", 2.25)[:3]
    ('2.5', '2.75', '3.0')
    """
    numbers = (key for key in _PHENOTYPE_BY_KEY.get(gene, {}) if key.lstrip("≥")[:1].isdigit())
    return tuple(key for key in numbers if float(key.lstrip("≥")) > score)


def _read_phenotype_by_key() -> Mapping[str, Mapping[str, str]]:
    phenotype: dict[str, dict[str, str]] = {}
    for row in table_rows("activity_scores.csv"):
        if row["score"] not in _NOT_A_RESULT:
            phenotype.setdefault(row["gene"], {})[row["score"]] = row["phenotype"]
    return phenotype


_PHENOTYPE_BY_KEY: Final[Mapping[str, Mapping[str, str]]] = _read_phenotype_by_key()


def phenotype_of(gene: str, key: str) -> str:
    """Return the phenotype that a key stands for: the key itself but for activity scores."""
    return _PHENOTYPE_BY_KEY.get(gene, {}).get(key, key)


def _read_keys_by_phenotype() -> Mapping[tuple[str, str], tuple[str, ...]]:
    keys: dict[tuple[str, str], tuple[str, ...]] = {}
    for gene in GENES.values():
        scores = _PHENOTYPE_BY_KEY.get(gene.symbol)
        pairs = scores.items() if scores else ((key, key) for key in sorted(gene.keys))
        for key, phenotype in pairs:
            name = (gene.symbol, phenotype.lower())
            keys[name] = (*keys.get(name, ()), key)
    return keys


_KEYS_BY_PHENOTYPE: Final[Mapping[tuple[str, str], tuple[str, ...]]] = _read_keys_by_phenotype()


def keys_of_phenotype(gene: str, phenotype: str) -> tuple[str, ...]:
    """Return the keys that a phenotype may mean: of an activity score gene all scores of it; () where it has none.

    >>> keys_of_phenotype("DPYD", "Intermediate Metabolizer"), keys_of_phenotype("CYP2D6", "Rapid Metabolizer")
    (('1.0', '1.5'), ())
    """
    return _KEYS_BY_PHENOTYPE.get((gene, phenotype.lower()), ())


def codes(use: str) -> Mapping[str, dict[str, str]]:
    """Return the rows of `codes.csv` of one use, by code; KeyError for a use that the table does not have."""
    return _CODES[use]


def _read_codes() -> Mapping[str, Mapping[str, dict[str, str]]]:
    codes_by_use: dict[str, dict[str, dict[str, str]]] = {}
    for row in table_rows("codes.csv"):
        codes_by_use.setdefault(row["use"], {})[row["code"]] = row
    return codes_by_use


_CODES: Final[Mapping[str, Mapping[str, dict[str, str]]]] = _read_codes()
