"""Translates what a report says about one gene into lookup keys: genotypes, phenotypes, activity scores, presence.

A text is translated only where every part of it is understood. An allele that the tables do not have, and words that
are not known, give no key: their meaning is never guessed.

Before it the text is brought into one spelling, which adds nothing: arrows and equals signs, "het" and "hom", two stars
beside each other, sub-alleles, the terms that older CPIC guidelines used.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from fhir.mapping.genomics.genotypes import SEGMENT, genotype_of
from fhir.mapping.genomics.tables import GENES, HLA_ALLELES, keys_of_phenotype, score_key, scores_above
from fhir.mapping.genomics.words import (
    Translation,
    in_english,
    presence_of,
    spelled,
    translate_hla,
    without_advice,
    without_gene,
    without_labels,
)

_SIGNS: Final = (
    (re.compile("＊"), "*"),
    (re.compile("×"), "x"),
    (re.compile(r"\*0+(?=[1-9])"), "*"),
    # The reference sequence of an HGVS name, "NM_000110.4(DPYD):c.1905+1G>A"; the gene is taken out before.
    (re.compile(r"\b(?:N[CGM]_\d+(?:\.\d+)?|LRG_\d+(?:t\d+)?)(?:\(\s*\))?\s*:\s*(?=[cm]\.)", re.IGNORECASE), ""),
    (re.compile(r"\bstar[- ]?(?=\d)", re.IGNORECASE), "*"),
    (re.compile(r"\s*(?:[-=]>|→|⇒)\s*"), "; "),
    (re.compile(r"\s*[\r\n]+\s*"), "; "),
    # "AS=0" keeps its sign, and so do ">=" and the "[=]" of HGVS.
    (re.compile(r"(?<=[a-z])\s*=\s*(?=[a-z*])", re.IGNORECASE), ": "),
    (re.compile(r"\bhet(?:ero)?\b\.?", re.IGNORECASE), "heterozygous"),
    (re.compile(r"\bhom(?:o)?\b\.?", re.IGNORECASE), "homozygous"),
)
_LAYOUT: Final = (
    # The mark of a footnote: "Poor metabolizer*", "PM^1".
    (re.compile(r"(?<=[a-z])\s*(?:\*+|\^\d|[†‡#]|\[\d\])$", re.IGNORECASE), ""),
    # HL7 v2 and tables: "CYP2C19^*2/*2", "*2/*2 | PM", "*2/*2 = PM", "poor_metabolizer", "PoorMetabolizer".
    (re.compile(r"\^"), " "),
    (re.compile(r"(?<=[\dA-Za-z])\s\|\s(?=[A-Za-z])|(?<=\d)\s+=\s+(?=[A-Za-z])"), "; "),
    (re.compile(r"(?<=[a-z])_(?=[a-z])|(?<=[a-z])(?=Metaboli[sz]er\b)"), " "),
    (re.compile(r"(?<=[*\w])\.\s+(?=(?:interpretation|phenotype|predicted|genotype|diplotype)\b)", re.IGNORECASE),
     "; "),
    (re.compile(r"(?<=\d)\s+(?=(?:UM|RM|NM|IM|PM|EM)$)"), "; "),
    # Words beside a result that add nothing to it.
    (re.compile(r"^abnormal: *(?=\*)|\s*\((?:abnormal|cpic)\)$|\bvariants?: *(?=\*)|(?<=phenotype) detected$",
                re.IGNORECASE), ""),
    (re.compile(r"\b(?:carrier|detected)\s*(?=\(?(?:hetero|homo)zyg)", re.IGNORECASE), ""),
    (re.compile(r"\b(?P<zygosity>(?:hetero|homo)zygous) (?:variant|mutant|mutation)\b", re.IGNORECASE),
     r"\g<zygosity>"),
    (re.compile(r"^(?P<star>\*\d+[A-Z]?)\s*\(?(?:two|2) copies\)?$", re.IGNORECASE), r"\g<star>/\g<star>"),
    (re.compile(r"\b(?P<zygosity>hetero|homo)zygote\b", re.IGNORECASE), r"\g<zygosity>zygous"),
    (re.compile(r"\b(?P<zygosity>(?:hetero|homo)zygous) for the\b", re.IGNORECASE), r"\g<zygosity> for"),
    (re.compile(r"(?P<star>\*\d+[A-Z]?) alleles?\b"), r"\g<star>"),
    # Two alleles in other words.
    (re.compile(r"^(?:positive for )?(?:two|2) copies of (?P<star>\*\d+[A-Z]?)$", re.IGNORECASE),
     r"\g<star>/\g<star>"),
    (re.compile(r"\ba(?:llele)? ?1\b[ :=]*(?P<one>\*\w+)[\s,;&]+(?:and )?a(?:llele)? ?2\b[ :=]*(?P<two>\*\w+)",
                re.IGNORECASE), r"\g<one>/\g<two>"),
    # Several names of one variant: "c.681G>A (p.P227P)", "*2 (rs4244285): A/A", "c.1905+1G>A (IVS14+1G>A, *2A)".
    (re.compile(r"(?<=[ACGT]>[ACGT])\s*\((?:p\.\w+|IVS14\+1G>A|D949V|I560S|rs\d+|\*2A|\*13|,|\s)+\)(?!\s*/)"), ""),
    (re.compile(r"\*\d+\s*\((?P<rs>rs\d+)\)\s*:?"), r"\g<rs>"),
    (re.compile(r"(?P<rs>rs\d+)\s*\((?P<one>[ACGT]);(?P<two>[ACGT])\)"), r"\g<rs> \g<one>/\g<two>"),
    (re.compile(r"(?P<rs>rs\d+[: ]+(?P<base>[ACGT])\s*/?\s*(?P=base))\s*\(homozygous(?: variant| reference)?\)"),
     r"\g<rs>"),
    (re.compile(r"(?P<rs>rs\d+[: ]+(?P<base>[ACGT])\s*/?\s*(?!(?P=base))[ACGT])\s*\(heterozygous(?: variant)?\)"),
     r"\g<rs>"),
    # CYP2D6: *5 is the deletion of the gene; copies stand beside their allele.
    (re.compile(r"\*5\s*(?:\((?:gene )?deletion\)|(?:gene )?deletion\b)", re.IGNORECASE), "*5"),
    (re.compile(r"\((?P<star>\*\d+x(?:n|\d+))\)", re.IGNORECASE), r"\g<star>"),
    (re.compile(r"(?P<star>\*\d+) x(?=n\b|\d)", re.IGNORECASE), r"\g<star>x"),
)  # fmt: skip
_ALLELE: Final = r"\*\d+(?:[A-Z]|\.\d{3})?(?:x(?:n|\d))?"
_PAIR: Final = rf"{_ALLELE}\s*[/|]\s*{_ALLELE}"
_ORDERS: Final = (
    # "homozygous *2/*2", "heterozygous for *1/*2"
    (re.compile(rf"^(?P<zygosity>(?:hetero|homo)zygous)(?: for)?[: ]+(?P<pair>{_PAIR})", re.IGNORECASE),
     r"\g<pair> \g<zygosity>"),
    (re.compile(rf"(?P<pair>{_PAIR})(?: genotype| diplotype)?(?: was| is)? (?:detected|identified|found|present)\b",
                re.IGNORECASE), r"\g<pair>"),
    # "poor metabolizer *2/*2"; not "*1/*4 or *4/*9"
    (re.compile(rf"(?<=[a-z)])(?<! or)(?<!genotype)(?<!diplotype)(?<!alleles)(?<!result)\s+(?={_PAIR})",
                  re.IGNORECASE),
     "; "),
)  # fmt: skip
_TWO_STARS: Final = re.compile(
    rf"(?P<one>{_ALLELE})\s*(?:,|;|&|\\|[-–—]|(?P<plus>\+)|\band\b|\s)\s*(?P<other>{_ALLELE})", re.IGNORECASE
)
# CYP2D6: a hybrid or duplicated gene stands beside another one on the same chromosome ("*36+*10", also with a hyphen).
_TANDEM: Final = re.compile(r"\*(?:13|36|57|61|63|68|83)\b.*|.*\*(?:13|36|57|61|63|68|83)")
# "2/2" is the whole result, or stands before the phenotype.
_WITHOUT_STARS: Final = re.compile(
    r"(?P<one>\d{1,2}[A-Z]?(?:x(?:n|\d))?)\s*/\s*(?P<other>\d{1,2}[A-Z]?(?:x(?:n|\d))?)"
    r"(?=$|\s*[;,(]\s*(?:[a-z]+ (?:metabolizer|metaboliser|function)|[UNRIPE]M\b))",
    re.IGNORECASE,
)
_STAR_GENES: Final = frozenset(
    {"CYP2B6", "CYP2C19", "CYP2C9", "CYP2D6", "CYP3A5", "DPYD", "NAT2", "NUDT15", "SLCO1B1", "TPMT", "UGT1A1"}
)
# UGT1A1: "6/7" may be the numbers of TA repeats.
_REPEATS: Final = frozenset({"5", "6", "7", "8"})
_WILD: Final = r"(?:wild[- ]?type|wt)"
_WILD_ALLELE: Final = re.compile(rf"(?<=[/|])\s*{_WILD}\b|\b{_WILD}(?=\s*[/|])", re.IGNORECASE)
_WILD_WHOLE: Final = re.compile(rf"(?:homozygous )?{_WILD}(?: homozygous)?", re.IGNORECASE)
_WILD_LABEL: Final = re.compile(rf"(?P<pair>{_PAIR})[\s(]+{_WILD}\)?", re.IGNORECASE)

# PharmVar: a star number is defined by its core variants, a letter or ".001" only names a sub-allele of it. Not for
# TPMT (*3A, *3B and *3C are alleles of their own), DPYD (*2A, *9A) and SLCO1B1 (*1b is *37 today).
_WITH_SUB_ALLELES: Final = frozenset({"CYP2B6", "CYP2C9", "CYP2C19", "CYP2D6", "CYP3A5", "NAT2"})
_SUB_ALLELE: Final = re.compile(r"(?P<core>\*\d+)(?:(?!X[N\d])[A-Z](?![a-z])|\.\d{3})")

# Terms of older guidelines. SLCO1B1: CPIC 2012 and 2014 (simvastatin); TPMT and NUDT15: CPIC 2011 and 2018
# (thiopurines); DPYD: CPIC 2013 (fluoropyrimidines). Rates of metabolism are named in words of every kind.
_SLOW: Final = (re.compile(r"\bslow(?= metaboli)"), "poor")
# How much of the enzyme is left: with none a poor metabolizer, with some an intermediate one.
_ENZYME: Final = r"(?:dpd |dihydropyrimidine dehydrogenase |enzyme )?deficien(?:cy|t)"
_DEFICIENCY_WORDS: Final = tuple(
    (re.compile(rf"\b(?:{how}) {_ENZYME}(?=$|\W)|{_ENZYME}[ ,(]+(?:{how})\b(?:, ?{rate} metabolizer)?\)?"),
     f"{rate} metabolizer")
    for how, rate in (("partial|heterozygous", "intermediate"), ("complete|total|homozygous", "poor"))
)  # fmt: skip
_TERMS: Final[Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]] = {
    "SLCO1B1": (
        (re.compile(r"\btransporter function\b|\bfunction transporter\b"), "function"),
        (re.compile(r"\blow(?= function)"), "poor"),
        (re.compile(r"\b(?:intermediate|reduced)(?= function)"), "decreased"),
    ),
    **dict.fromkeys(
        ("TPMT", "NUDT15"),
        (
            (re.compile(r"\b(?:low|deficient|absent)(?: or deficient)? (?:enzyme )?activity\b"), "poor metabolizer"),
            (re.compile(r"\bintermediate (?:enzyme )?activity\b"), "intermediate metabolizer"),
            (re.compile(r"\bnormal (?:enzyme )?activity\b"), "normal metabolizer"),
            _SLOW,
            *_DEFICIENCY_WORDS,
        ),
    ),
    "DPYD": _DEFICIENCY_WORDS,
    "G6PD": (
        (
            re.compile(
                r"\b(?:hemizygous|homozygous|mediterranean|(?:severe|moderate|mild)(?:ly)?|class (?:ii|iii|b))\b"
            ),
            " ",
        ),
        (re.compile(r"\b(?:enzyme )?activity (?=deficient)"), " "),
        (re.compile(r"\bwith chronic (?:nonspherocytic )?ha?emolytic ana?emia\b"), "with cnsha"),
        (re.compile(r"\bdeficiency\b"), "deficient"),
    ),
    "NAT2": ((re.compile(r"^slow$"), "slow acetylator"), _SLOW),
    **dict.fromkeys(("CYP2B6", "CYP2C19", "CYP2C9", "CYP2D6", "UGT1A1"), (_SLOW,)),
    **dict.fromkeys(
        ("RYR1", "CACNA1S"),
        ((re.compile(r"\bsusceptible to malignant hyperthermia\b|^susceptible$"), "mh susceptible"),),
    ),
}  # fmt: skip


# PharmVar: HapB3 is named by its two variants, the allele of the tables by the one that decides (c.1129-5923C>G); and
# two variants of DPYD by the change of the protein.
_DPYD: Final = (
    (re.compile(r"c\.1129[-–]5923C>G\s*(?:/|,|;|&|\+|and)?\s*(?:c\.)?1236G>A(?:\s*\(?hap ?b3\)?)?", re.IGNORECASE),
     "c.1129-5923C>G"),
    (re.compile(r"\b(?:c\.)?1236G>A\s*\(?hap ?b3\)?", re.IGNORECASE), "c.1129-5923C>G"),
    (re.compile(r"\b(?:p\.)?(?:D949V|Asp949Val)\b", re.IGNORECASE), "c.2846A>T"),
    (re.compile(r"\b(?:p\.)?(?:I560S|Ile560Ser)\b", re.IGNORECASE), "c.1679T>G"),
)  # fmt: skip


def unified(gene: str, text: str) -> str:
    """Return the text about this gene in the spelling that is translated.

    >>> unified("CYP2C19", "Poor Metaboliser → *2A, *3"), unified("CYP2C19", "heterozygous *1/*2")
    ('Poor Metaboliser; *2/*3', '*1/*2 heterozygous')
    """
    text = text.strip()
    for sign, replacement in (*_LAYOUT, *_SIGNS):
        text = sign.sub(replacement, text)
    for name, replacement in _DPYD if gene == "DPYD" else ():
        text = name.sub(replacement, text)
    if gene in _WITH_SUB_ALLELES:
        text = _SUB_ALLELE.sub(r"\g<core>", text)
    text = "; ".join(_as_pair(gene, part) for part in _with_stars(gene, text).split("; "))
    for order, replacement in _ORDERS:
        text = order.sub(replacement, text)
    return _with_reference(text.strip())


def _as_pair(gene: str, text: str) -> str:
    match = _TWO_STARS.fullmatch(text.strip(" .()"))
    if match is None or (gene == "CYP2D6" and (match["plus"] or _TANDEM.fullmatch(text.strip(" .()")))):
        return text
    return f"{match['one']}/{match['other']}"


def _with_stars(gene: str, text: str) -> str:
    """Two allele numbers as two alleles: "2/2" of CYP2C19 is "*2/*2"."""
    match = _WITHOUT_STARS.match(text) if gene in _STAR_GENES else None
    if match is None or (gene == "UGT1A1" and {match["one"], match["other"]} <= _REPEATS):
        return text
    return f"*{match['one']}/*{match['other']}{text[match.end() :]}"


def _with_reference(text: str) -> str:
    """Write the reference allele as *1, whatever else a laboratory calls it."""
    if _WILD_WHOLE.fullmatch(text.strip(" .")):
        return "*1/*1"
    return _WILD_ALLELE.sub("*1", _WILD_LABEL.sub(r"\g<pair>", text))


def unified_terms(gene: str, words: str) -> str:
    """Lower-case words about this gene in the terms that CPIC uses today."""
    for term, replacement in _TERMS.get(gene, ()):
        words = term.sub(replacement, words)
    return " ".join(words.split()).strip(" ,-")


_ABBREVIATIONS = {
    "um": "ultrarapid", "urm": "ultrarapid", "rm": "rapid", "nm": "normal", "em": "normal", "im": "intermediate",
    "pm": "poor", "extensive": "normal",
}  # fmt: skip
_METABOLIZER = re.compile(
    r"(?:(?P<likely>likely|possible|probable) )?"
    r"(?P<speed>ultrarapid|rapid|normal|extensive|intermediate|poor|urm|um|rm|nm|em|im|pm)"
    r"(?: metabolizers?)?(?: status)?"
)
_FUNCTION = re.compile(r"(?:(?P<likely>possible) )?(?P<much>increased|normal|decreased|poor)(?: function)?")
_ACETYLATOR = re.compile(r"(?P<speed>slow|poor|intermediate|rapid|fast) acetylators?")
# CPIC 2015: a CYP3A5 expresser is a normal or an intermediate metabolizer, a nonexpresser a poor one.
_EXPRESSER = re.compile(r"(?P<none>non[- ]?)?express[eo]r")
_SCORE = re.compile(
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
_DEFICIENCY = re.compile(r"(?:enzyme )?deficien(?:t|cy)(?: of)?")
_ENZYMES = ("DPYD", "NUDT15", "TPMT")
_LABELS = ("", "activity score", "score", "status", "as")
# The parts of a text; a bracket may belong to the name of an allele.
_PART = re.compile(r"\s*(?:,(?!\d)|;)\s*")
# A variant that was looked for and is not there takes nothing away from the one that is.
_NOT_FOUND = re.compile(r"c\.[\d+_-]+[A-Za-z>]+(?:\s*\(\*\w+\))?:? not (?:detected|found|present)", re.IGNORECASE)
_WORDS_AFTER_PAIR = re.compile(
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
    if gene in HLA_ALLELES:
        return tuple(translate_hla(gene, text))
    plain = _WORDS_AFTER_PAIR.sub(r"\g<pair>; ", unified(gene, in_english(without_gene(gene, text))))
    genotype = genotype_of(gene, plain)
    if genotype is not None:
        return (genotype,) if genotype.keys else ()
    if whole := _phenotype(gene, unified_terms(gene, without_labels(plain))):
        return (Translation(gene, "phenotype", whole),)
    translations: list[Translation] = []
    for part in filter(None, (piece.strip(" .-–—") for piece in _PART.split(plain))):
        variant = genotype_of(gene, part) if "(" in part else None
        parts = [part] if variant is not None else SEGMENT.split(part)
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
    """Return the phenotype that words name without a gene, as the tables write it; positive or negative for an allele.

    >>> phenotype_named("poor metaboliser"), phenotype_named("see report")
    ('poor metabolizer', '')
    """
    words = spelled(without_advice(text))
    names = [name for name in _phenotype_names("", words) if name.endswith((" metabolizer", " function"))]
    return names[-1] if names else presence_of(words) or ""


def _phenotype_names(gene: str, words: str) -> Iterator[str]:
    """Yield what the words may be called in the tables."""
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
    """Return the key of an activity score; all keys above it where the words say "more than"."""
    match = _SCORE.fullmatch(words) if GENES[gene].lookup == "activity_score" else None
    if match is None:
        return ()
    score = float(match["score"].replace(",", "."))
    if match["more"]:
        return scores_above(gene, score)
    key = score_key(gene, score, at_least=match["least"] is not None)
    return (key,) if key is not None else ()
