"""Words of reports in one spelling, HLA alleles, and the genes that a text names."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from fhir.mapping.genomics.tables import GENES, HLA_ALLELES, NEGATIVE, POSITIVE

Kind: TypeAlias = Literal["genotype", "phenotype", "score", "presence"]


class Translation(Struct, frozen=True, gc=False):
    """What a text means for a gene or one HLA allele: the keys that it may stand for, none where it has no meaning."""

    gene: str
    kind: Kind
    keys: tuple[str, ...]


# Words that name what follows and add nothing to it.
_LEAD = re.compile(
    r"\b(?:phenotypes?|genotypes?|diplotypes?|metabolizer status|results?|interpretation|predicted|star alleles?|"
    r"drug metabolism|enzyme activity|allele|homoplasmic|gene|patient|drug|"
    r"inferred|imputed|derived|see (?:comment|note|report|below)|"
    r"due to (?:cytochrome p450 )?variant|"
    r"is|the|this|a|an|for|to be|(?:of )?substrates?)\b:?"
)
_PAIR = re.compile(r"\s*[/|]\s*")
_NOUN: Final = r"m[ée]taboli(?:sierer(?:in)?|sator|seur|zador|zzatore|seerder|serare|serer)\b"
# Results in German, French, Spanish, Italian, Portuguese, Dutch and the Scandinavian languages.
_FOREIGN: Final = (
    *(
        (re.compile(rf"\b(?:{how})[ -]{{1,2}}{_NOUN}|{_NOUN}:? (?:{how})\b", re.IGNORECASE), f"{rate} metabolizer")
        for rate, how in (
            ("ultrarapid", r"ultra[- ]?(?:schnell|r?r[áa]pid|snel|rask|hurtig|snabb)\w{0,3}"),
            ("rapid", r"(?:schnell|r[áa]pid|snel|rask|hurtig|snabb)\w{0,3}"),
            ("normal", r"normal\w{0,3}"),
            ("intermediate", r"interm[eé]di\w{1,5}"),
            ("poor", r"(?:langsam|schlecht|traag|trage|langza|langsom|långsam)\w{0,3}|lent[oae]?|pobre|scarso"),
        )
    ),
    (re.compile(r"(?<=metabolizer) (?:du|de|del|di|do|voor|av|von|für)\b(?: |$)", re.IGNORECASE), ""),
    (re.compile(r"\bh?omo[zc][yi]go{1,2}t(?:e[rsn]?|[oa])?\b", re.IGNORECASE), "homozygous"),
    (re.compile(r"\bh?[eé]t[eé]ro[zc][yi]go{1,2}t(?:e[rsn]?|[oa])?\b", re.IGNORECASE), "heterozygous"),
    (re.compile(r"\b(?:defizient|d[ée]fi[cs]ient)(?:e[rs]?|s)?\b", re.IGNORECASE), "deficient"),
    (re.compile(r"\b(?:fehlend(?:e[rs]?)?|ausente|assente|afwezig)\b", re.IGNORECASE), "absent"),
    (re.compile(r"\b(?:aktivität|activité|actividad|attività|atividade|activiteit|aktivitet)\b", re.IGNORECASE),
     "activity"),
    # Alone, "absent" may also be said of a variant, which then is not there.
    (re.compile(r"\babsent (?=\(homozygous deficient\))"), ""),
)  # fmt: skip
# "poor-metabolizer", "poor metabolism", "poor metabolizer of CYP2C19" with the gene taken out
_RATE = re.compile(r"(?:\s+|(?<=[a-z])-)metaboli(?:zer(?:s|\s+(?:of|by|via|for)$)?|sm|sation|zation)\b(?! status)")
_PRESENCE = {
    POSITIVE: re.compile(
        r"pos(?:iti[fv][aeo]?)?|detected|present|carrier|high risk|allele present|allele detected"
        r"|nachgewiesen|d[ée]tect[ée]e?|detectad[ao]|rilevat[ao]|present[ae]|aangetoond"
        r"|(?:hetero|homo)zygous"
    ),
    NEGATIVE: re.compile(
        r"n[eé]g(?:ati[fv][aeo]?)?|nicht nachgewiesen|non d[ée]tect[ée]e?|no detectad[ao]|n[ãa]o detectad[ao]"
        r"|non rilevat[ao]|niet aangetoond|not detected|none detected|not present|absent|non-?carrier|low risk"
        r"|not a carrier"
    ),
}
_HLA = re.compile(
    r"(?:hla-?)?(?P<gene>[ab])?\*?(?P<group>\d{2}):?(?P<protein>\d{2,3})(?::\d{2,3}){0,2}(?P<suffix>[nlscaqpg]?)",
    re.IGNORECASE,
)
# The star may be left out where "HLA" or the colon makes clear what the digits are.
_HLA_NAMED = re.compile(
    r"\b(?:hla[- ]?(?P<named>[ab])[\s-]?\*?|(?P<bare>[ab])\s?(?:\*|(?=\d\d:)))\s?"
    r"(?P<group>\d{2}):?(?P<protein>\d{2})(?!\d)(?::\d{2,3})*p?(?![a-z])",
    re.IGNORECASE,
)
_HLA_TWO = re.compile(r"\s*(?:,|;|&|\band\b)\s*", re.IGNORECASE)
_HLA_LABELS = re.compile(r"\b(?:presence|status|typing|of|for|test(?:ing)?)\b")
# "*57:01 positive" where the gene is said elsewhere.
_HLA_WITHOUT_GENE = re.compile(r"(?<![A-Za-z0-9])\*(?=\d\d:?\d\d(?!\d))")
_HLA_DIGITS = re.compile(r"^(?=\d\d:\d\d\b)")
# One copy of the allele is enough for CPIC's recommendations.
_HLA_SIGNS = {
    "heterozygous carrier": POSITIVE,
    "homozygous carrier": POSITIVE,
    "+": POSITIVE,
    "+ve": POSITIVE,
    "heterozygous": POSITIVE,
    "homozygous": POSITIVE,
    "-ve": NEGATIVE,
}
# SNOMED CT's kind of concept and the laboratory's flag, which come after the words.
_TAG = re.compile(r"\s*\((?:qualifier value|finding|disorder|abnormal|a|normal)\)$", re.IGNORECASE)
# LOINC and laboratories write these gene products out.
_WRITTEN_OUT = {
    "G6PD": r"|\bglucose[- ]6[- ]phosphate dehydrogenase\b",
    "TPMT": r"|\bthiopurine (?:s-)?methyltransferase\b(?: \(tpmt\))?",
    "NUDT15": r"|\bnudix hydrolase 15\b",
    # "DPD" alone is also dependent personality disorder.
    "DPYD": r"|\bdihydropyrimidine dehydrogenase\b(?: \(dpd\))?"
    r"|\bdpd(?=[- ](?:enzyme |activity |gene )?(?:deficien|metaboli))",
    **{
        f"CYP{name}": rf"|\b(?:cytochrome )?p[- ]?450 (?:cyp ?)?{name}\b|\bcyp[ -]{name}\b"
        for name in ("2B6", "2C9", "2C19", "2D6", "3A5")
    },
}
# Whose result it is: of a relative or a donor it says nothing about this patient.
_OF_ANOTHER = re.compile(
    r"\b(?:mother|father|parent|sibling|brother|sister|son|daughter|child|family|relative|donor|fetal|fetus)(?:'?s)?\b",
    re.IGNORECASE,
)


# What stands in place of a result: the test is not over, failed, or the result is somewhere else.
_NO_RESULT = re.compile(
    r"\b(?:pending|to follow|in process|in progress|awaiting|not (?:yet )?(?:performed|done|tested|reported|run)"
    r"|testing (?:ordered|failed)|cancell?ed|no call|failed|quantity not sufficient|insufficient|qns"
    r"|see (?:scanned|attached|separate|pdf|media))\b",
    re.IGNORECASE,
)
# An allele beside it is a result, even where it is not understood.
_ALLELE_SAID = re.compile(r"\*\d|\brs\d|\bc\.-?\d", re.IGNORECASE)


def is_no_result(text: str) -> bool:
    """Whether the words say that there is no result: pending, failed, not done, or only in a document.

    >>> is_no_result("Results pending"), is_no_result("*2/*99")
    (True, False)
    """
    return _NO_RESULT.search(text) is not None and _ALLELE_SAID.search(text) is None


def spelled(text: str) -> str:
    """Return the text in lower case and in one spelling of its terms."""
    words = text.lower().replace("metaboliser", "metabolizer").replace("ultra-rapid", "ultrarapid")
    words = _TAG.sub("", _RATE.sub(" metabolizer", words))
    words = words.replace("ultra rapid", "ultrarapid").replace("≥ ", "≥").replace("extensive/normal", "normal")
    return words.replace("normal (extensive)", "normal").replace("extensive (normal)", "normal").strip(" .")


def in_english(text: str) -> str:
    """Return a result that is written in another language of Europe in the English terms.

    >>> in_english("Métaboliseur lent du"), in_english("ultraschneller Metabolisierer")
    ('poor metabolizer', 'ultrarapid metabolizer')
    """
    for pattern, replacement in _FOREIGN:
        text = pattern.sub(replacement, text)
    return text


def without_labels(text: str) -> str:
    """Return the text in one spelling without words such as "phenotype" or "result"."""
    return " ".join(_LEAD.sub(" ", spelled(text)).split())


def presence_of(text: str) -> str | None:
    """Positive or negative where the words say only that; else None."""
    words = without_labels(text)
    return next((sign for sign, pattern in _PRESENCE.items() if pattern.fullmatch(words)), None)


def hla_named(text: str) -> tuple[str, ...]:
    """Return the HLA alleles of the tables that a text names, in either notation: ("HLA-B*15:02",).

    >>> hla_named("HLA-B*1502 [Presence]"), hla_named("HLA-B*15:01")
    (('HLA-B*15:02',), ())
    """
    alleles = (
        f"HLA-{(match['named'] or match['bare']).upper()}*{match['group']}:{match['protein']}"
        for match in _HLA_NAMED.finditer(text)
    )
    known_alleles = {f"{gene}*{allele}" for gene, of_gene in HLA_ALLELES.items() for allele in of_gene}
    return tuple(dict.fromkeys(allele for allele in alleles if allele in known_alleles))


def translate_hla(gene: str, text: str) -> Iterator[Translation]:
    """Translate alleles: a pair tells of every allele; one, or one with "positive" or "negative", tells of itself."""
    if _GL_STRING.fullmatch(text.strip()):
        yield from _translate_gl_string(text.strip())
        return
    parts = (_HLA_TWO if "/" not in text else _PAIR).split(text)
    pair = [match for part in parts if (match := _HLA.fullmatch(part.strip())) is not None]
    if len(pair) == len(parts) <= 2:
        typed = [_typed(f"{match['group']}:{match['protein']}", match["suffix"]) for match in pair]
        if any(match["gene"] and not gene.endswith(match["gene"].upper()) for match in pair):
            return
        for allele in HLA_ALLELES[gene]:
            if signs := tuple(sorted(_signs_of(allele, typed))):
                yield Translation(f"{gene}*{allele}", "genotype", signs)
        return
    text = _HLA_WITHOUT_GENE.sub(f"{gene}*", _TAG.sub("", text))
    if "*" not in text:
        text = _HLA_DIGITS.sub(f"{gene}*", text)
    alleles = hla_named(text)
    hla_sign = _hla_sign(_HLA_NAMED.sub(" ", text))
    if len(alleles) == 1 and hla_sign is not None and alleles[0].startswith(gene):
        yield Translation(alleles[0], "presence", (hla_sign,))


# Genotype List String (Milius and others, Tissue Antigens 2013; glstring.org), with the release of its names before it:
# "hla#3.25#HLA-A*02:01+HLA-A*03:01^HLA-B*57:01:01G+HLA-B*08:01/HLA-B*08:02".
_GL_ALLELE: Final = r"HLA-[A-Z]{1,3}\d{0,2}\*\d{2,3}(?::\d{2,3}){1,3}[A-Z]?"
_GL_STRING = re.compile(
    rf"(?:hla#[^#]{{1,20}}#)?{_GL_ALLELE}(?:[/+~^|]{_GL_ALLELE})+|hla#[^#]{{1,20}}#{_GL_ALLELE}", re.IGNORECASE
)
_GL_GENE_AND_GROUPS = re.compile(r"(HLA-[A-Z]{1,3}\d{0,2})\*(\d{2,3}:\d{2,3})(?::\d{2,3}){0,2}([A-Z]?)", re.IGNORECASE)


def _translate_gl_string(text: str) -> Iterator[Translation]:
    """Translate every locus of it: "|" parts genotypes that may be meant, "^" loci, "+" and "~" copies, "/" alleles."""
    genotypes = [_copies_by_gene(genotype) for genotype in text.rpartition("#")[2].split("|")]
    for gene, alleles in HLA_ALLELES.items():
        copies = [by_gene.get(gene, []) for by_gene in genotypes]
        for allele in alleles if any(copies) else ():
            signs = {sign for of_genotype in copies for sign in _signs_of(allele, of_genotype)}
            yield Translation(f"{gene}*{allele}", "genotype", tuple(sorted(signs)))


def _copies_by_gene(genotype: str) -> dict[str, list[set[str]]]:
    """Return what each copy of a gene may be, to two groups of digits."""
    copies: dict[str, list[set[str]]] = {}
    for copy in re.split(r"[\^+~]", genotype):
        alleles = [match.groups() for match in _GL_GENE_AND_GROUPS.finditer(copy)]
        may_be = set().union(*(_typed(groups, suffix) for _, groups, suffix in alleles))
        copies.setdefault(alleles[0][0].upper(), []).append(may_be)
    return copies


def _typed(groups: str, suffix: str) -> set[str]:
    """Return what a typed allele may be, by the last letter of its name (hla.alleles.org, nomenclature: suffixes).

    N is not expressed, so it is another allele than the one that drugs ask about. Of L, S, C, A and Q (low, secreted,
    in the cytoplasm, aberrant, questionable) it is not known. G and P are groups of alleles with the same protein.
    """
    letter = suffix.upper()
    if letter in ("", "G", "P"):
        return {groups}
    return {f"{groups}{letter}"} if letter == "N" else {groups, f"{groups}{letter}"}


def _signs_of(allele: str, copies: list[set[str]]) -> Iterator[str]:
    """Yield what the copies of a gene leave open about an allele; of one copy alone its absence says nothing."""
    if {allele} in copies:
        yield POSITIVE
    elif any(allele in copy for copy in copies):
        yield from (POSITIVE, NEGATIVE)
    elif len(copies) > 1:
        yield NEGATIVE


def _hla_sign(rest: str) -> str | None:
    """Return what stands beside the name of an allele, where every part of it says the same."""
    words = " ".join(rest.strip(" :,()").split()).lower().removeprefix("- ")
    hla_sign = _HLA_SIGNS.get(words) or presence_of(words)
    if hla_sign is not None:
        return hla_sign
    parts = [_HLA_LABELS.sub(" ", piece).strip(" .") for piece in re.split(r"[:,;()]|\s-\s", words)]
    signs = {_HLA_SIGNS.get(part) or presence_of(part) for part in parts if part}
    return signs.pop() if len(signs) == 1 else None


def genes_named(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the genes of the tables that one of the texts names."""
    return tuple(dict.fromkeys(gene for text in texts for gene in _genes_in(text)))


def _genes_in(text: str) -> tuple[str, ...]:
    return tuple(gene for gene in _genes_possible(text) if _PATTERNS[gene].search(text))


def _genes_possible(text: str) -> list[str]:
    """Return the genes of which a text holds a part of the name; the patterns need not be asked about the others."""
    words = text.lower()
    return list(dict.fromkeys([gene for stem, gene in _STEMS if stem in words]))


def is_of_another(texts: Iterable[str]) -> bool:
    """Whether one of the texts says that the result is of a relative or a donor."""
    return any(_OF_ANOTHER.search(text) for text in texts)


def without_gene(gene: str, text: str) -> str:
    """Return the text without the gene's name."""
    remaining = re.sub(r" {2,}", " ", _PATTERNS[gene].sub(" ", text))
    return re.sub(r"^\s*gene\b", "", remaining, flags=re.IGNORECASE).strip(" :")


def parts_by_gene(text: str) -> Iterator[tuple[str, str]]:
    """Yield a text about several genes in parts, each from the name of its gene to the next: [("CYP2C19", "*2/*2")]."""
    matches = ((gene, match) for gene in _genes_possible(text) for match in _PATTERNS[gene].finditer(text))
    occurrences = sorted((match.start(), match.end(), gene, match[0]) for gene, match in matches)
    # "DPYD: partial DPD deficiency" is one statement.
    starts = [
        (start, end, gene)
        for before, (start, end, gene, name) in pairwise([(0, 0, "", ""), *occurrences])
        if before[2] != gene or name.upper() == gene
    ]
    ends = [*(start for start, _, _ in starts[1:]), len(text)]
    for (_, end, gene), until in zip(starts, ends[: len(starts)], strict=True):
        part = text[end:until].strip(" :;,.|-–\r\n\t")
        if part:
            yield gene, part


# "HLA-B5701": the digits after an HLA gene are an allele.
_END = r"(?:(?![A-Za-z0-9])|(?<=HLA[- ][AB])(?=\d\d:?\d\d)|(?<=HLA[AB])(?=\d\d:?\d\d))"


def _read_patterns() -> Mapping[str, re.Pattern[str]]:
    symbols = {gene: re.escape(gene).replace(r"HLA\-", "(?:HLA[- ]?)") for gene in GENES}
    return {
        gene: re.compile(rf"(?<![A-Za-z0-9-]){symbol}{_END}{_WRITTEN_OUT.get(gene, '')}", re.IGNORECASE)
        for gene, symbol in symbols.items()
    }


_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = _read_patterns()

# Lower-case letters of which every spelling of a gene's pattern has one: 26 patterns over a long text took 0.3 ms.
_OTHER_STEMS = {
    "G6PD": ("glucose",),
    "TPMT": ("thiopurine",),
    "DPYD": ("dihydropyrimidine", "dpd"),
    "NUDT15": ("nudix",),
}
_STEMS: Final[Sequence[tuple[str, str]]] = [
    (stem, gene)
    for gene in _PATTERNS
    for stem in (gene.lower().removeprefix("cyp").partition("-")[0], *_OTHER_STEMS.get(gene, ()))
]


_BRACKETS: Final = re.compile(r"\s*\((?P<inside>[^()]{5,})\)")
_BETWEEN: Final = re.compile(
    r"\s*[\r\n]+\s*|\s*[;:]\s+|(?<=[A-Za-z0-9)*])[.,]\s+|\s[-–—]\s|\s+(?:and )?(?=should\b|due to (?:gene )?dup)"
)
_METHOD: Final = re.compile(
    r"(?<=[A-Za-z0-9)*])[.;,]\s+(?:method(?:ology)?|assay|platform)(?: used)?: (?P<method>[\w -]{2,40})(?:\.|$)",
    re.IGNORECASE,
)
_ADVICE: Final = re.compile(
    r"(?:(?:please|strongly|patients?|should|must|to)\s+)*"
    r"(?:consider|avoid|use|do not (?:use|prescribe|give|start|initiate)|not receive|select|choose|switch|prescribe"
    r"|prefer|reduce|decrease|increase|lower|start|initiate|begin|monitor|titrate|discontinue|stop|follow|see|refer to"
    r"|tested by|analy[sz]ed by|performed (?:at|by)"
    r"|per|according to|recommend(?:ed|ation|ations)?|alternative|an alternative|another|dose (?:reduction|adjustment)"
    r"|drastic(?:ally)?|standard (?:dos|starting dos)\w*|usual dos\w*"
    r"|action required|actionable|contraindicated|no (?:change|action|dose adjustment)"
    r"|may (?:need|require|benefit|have|experience|be at))\b.*"
    r"|.*\b(?:recommended|advised|preferred|contraindicated|suggested|should be (?:avoided|considered|reduced|used)"
    r"|(?:may|can) be (?:used|prescribed|given|started))(?: (?:with|at|as|per|by|in) .*)?",
    re.IGNORECASE | re.DOTALL,
)
_EXPECTED: Final = re.compile(
    r"(?:(?:significantly|greatly|markedly|likely|expect(?:ed)?|an?|at|the)\s+)*"
    r"(?:reduced|decreased|diminished|impaired|increased|higher|lower|high|elevated|greater)\b.*"
    r"\b(?:risk (?:of|for)|effect|effects|response|formation|exposure|efficacy|activation|clearance|concentrations?"
    r"|levels?|toxicity|conversion)\b.*",
    re.IGNORECASE | re.DOTALL,
)
# How many copies of the gene work: adds nothing to a phenotype, but to alleles ("*1/*2, duplication").
_COPIES: Final = re.compile(
    r"(?:with |due to )?(?:(?:\d|no|zero|one|two|three|multiple) (?:functional|active) (?:gene )?(?:copies|alleles)"
    r"|(?:gene )?copy number:? ?\d|\d copies|(?:gene )?duplication)(?: (?:detected|present))?",
    re.IGNORECASE,
)
# These deny or leave open nothing about the result.
_HARMLESS: Final = re.compile(
    r"\b(?:do not (?:use|prescribe|give|start|initiate)|(?:is|are) not recommended|should not (?:be used|receive)"
    r"|not receive|if possible|no (?:change|action|dose adjustment|contraindications?))\b",
    re.IGNORECASE,
)
# What tells of a result, or of a doubt about it.
_TELLS: Final = re.compile(
    r"\*\s*\d|\brs\d|\bc\.-?\d|>|metaboli[sz]er|\bacetylator|\b(?:phenotype|genotype|diplotype|alleles?|activity"
    r"|function\w*|variants?|positive|negative|detected|deficient|deficiency|carriers?|normal|intermediate|poor|rapid"
    r"|ultrarapid|extensive|slow|um|rm|nm|im|pm|em|expresser"
    r"|not|no|never|cannot|unable|unless|pending|un\w*confirm\w*|confirm\w*|repeat\w*|re-?test\w*|suspect\w*|possib\w*"
    r"|exclu\w*|rule[sd]?|errors?|amend\w*|correct\w*|wrong\w*|mix|instead of|previous\w*|prior|history|reference"
    r"|example|phenoconver\w*|inhibitors?|inducers?|transplant\w*|sample|specimen)\b",
    re.IGNORECASE,
)


def without_advice(text: str) -> str:
    """Remove the parts that only advise about a drug or tell of the method; a text that has none comes back as it is.

    >>> without_advice("Poor metabolizer, consider alternative"), without_advice("If poor metabolizer, confirm")
    ('Poor metabolizer', 'If poor metabolizer, confirm')
    """
    whole, text = text, _METHOD.sub(lambda match: match[0] if _TELLS.search(match["method"]) else "", text)
    has_alleles = "*" in text or ">" in text

    def is_beside(part: str) -> bool:
        return _is_advice(part) or (not has_alleles and _COPIES.fullmatch(part.strip(" .")) is not None)

    cleaned = _BRACKETS.sub(lambda match: "" if is_beside(match["inside"]) else match[0], text.strip())
    parts = [part.strip() for part in _BETWEEN.split(cleaned)]
    kept = [parts[0], *(part for part in parts[1:] if part and not is_beside(part))]
    if len(kept) == len(parts):
        return cleaned
    # "Poor metabolizers: avoid clopidogrel" tells of no patient.
    return whole if re.search(r"metaboli[sz]ers\b", kept[0], re.IGNORECASE) else "; ".join(kept)


def _is_advice(part: str) -> bool:
    part = part.strip(" .")
    if _ADVICE.fullmatch(part) is None and _EXPECTED.fullmatch(part) is None:
        return False
    return _TELLS.search(_HARMLESS.sub(" ", part)) is None and not genes_named([part])
