"""What the words of an order say of a study: the modality, whether contrast is given, what is in the beam, which test.

Most orders carry a local code and the words of a hospital's catalog ("CT ABD/PELV W CON", "Hemoglobin A1c"). A
laboratory or screening test is known by a name of `test_names.csv` and nothing beside it but words that add nothing;
imaging by the words for its modality, in English and in the languages of Europe that the drug tables have, too (the
usual words of each; general knowledge, dated 2026-11-26). Words that are not understood make no study.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from fhir.terminology.caching import remembered
from fhir.terminology.medications import table_rows

_CT: Final = re.compile(
    r"\b(?:ce|nc|c|ld)?ct(?:a|v|pa|ap)?\b|\bcat scan|computed tomog|(?:computer|dator)-?tomogra|tomodensitom"
    r"|tomogra[a-zíï]{0,9} (?:axial )?(?:comput|komput)|tietokonetomogra",
    re.IGNORECASE,
)
# What may be something else, too, beside the words of an MR scan.
_CT_ABROAD: Final = re.compile(r"\b(?:angio-?)?scanner\b|\b(?:angio-?)?ta?c\b|\btk\b|\btdm\b", re.IGNORECASE)
_MR: Final = re.compile(
    r"\b(?:angio-?)?mr[aivt]?\b|\bmrcp\b|magnetic resonance|\b(?:angio-?)?irm\b|\brmn?\b(?! \d)|kernspin|magnetresonan"
    r"|r[eéi]s?[sz]on[aâ]n\w{0,9} magn|magnet-?kamera|magneettikuva",
    re.IGNORECASE,
)
_XR: Final = re.compile(
    r"\bx-?rays?\b|\bxr\b|radiograph|fluoroscop|\bkub\b|\bbarium (?:enema|swallow|meal)\b|hysterosalping|\bhsg\b"
    r"|small bowel (?:series|follow)|\bupper gi series|\br[oöø]e?ntgen|\brtg\b|radiogra[fp]"
    r"|\brx\b(?= (?:d[eio]l?(?:la)? )?(?:abd|add|pelv|bacin|col|lomb|lumb|t[oó]r|tor))",
    re.IGNORECASE,
)
# A tracer in the blood: the bladder beside the uterus holds it, whatever the study is of.
_TRACER: Final = re.compile(
    r"\bbone scan|\bs[ckz]inti|\bscyntygra|\bcintilogra|\bgammagra[fp]|\bpet\b|\bpet[-/ ]?(?:ct|tc|mr)"
    r"|\bspect\b|\bnuclear (?:med|stress|scan)|\bmuga\b|\bv/?q (?:scan|study)|\bhida\b|sestamibi|\bmibg\b"
    r"|radio-?(?:active )?iod|\bi-?131\b|iodine-?131|(?:gallium|thyroid|lung perfusion) (?:scan|uptake)",
    re.IGNORECASE,
)
# Contrast into a vessel without CT or MR. Carbon dioxide, fluorescein and a tracer are no iodine.
_VESSELS: Final = re.compile(
    r"\b(?:arterio|aorto|veno|angio)gra(?:m|phy)|\b(?:coronary|cardiac|left heart) cath|intravenous (?:pyelo|uro)gra"
    r"|\bivp\b|excretory urogra",
    re.IGNORECASE,
)
_INTO_ARTERY: Final = re.compile(
    r"\b(?:arterio|aorto)gra(?:m|phy)|\b(?:coronary|cardiac|left heart) cath|\bcoronary angio", re.IGNORECASE
)
_NO_IODINE: Final = re.compile(
    r"carbon dioxide|\bco2\b|fluorescein|indocyanine|\bicg\b|retina|radionuclide|\bmuga\b|nuclear|ultraso|\bus\b"
    r"|optical coherence|\boct\b",
    re.IGNORECASE,
)
_CT_OF_VESSELS: Final = re.compile(
    r"\bc?cta\b|\bctpa\b|\bctv\b|\b(?:ct|computed tomogra\w+)[ -](?:[\w-]+ ){0,2}?(?:angio|veno|uro)gra|\bct[ -]?angio"
    r"|\bct ivp\b|\b(?:tri|multi)-?phas(?:e|ic)\b",
    re.IGNORECASE,
)

# Contrast that is swallowed reaches no vessel: it is taken out before the words are read.
_SWALLOWED: Final = re.compile(
    r"(?:\b(?:with|without|w/?o?|no|and|only)\b[ ,]*)?\b(?:oral|po|rectal|enteric|enteral)\b"
    r"(?!\s*(?:and|&|/|\+)\s*(?:iv\b|intra))(?: (?:and|&) (?:rectal|oral))? contrast(?: only)?",
    re.IGNORECASE,
)
# A reaction of the past is no contrast of today.
_ALLERGY: Final = re.compile(
    r"\ballerg\w*(?: reaction)?(?: to)?(?: iv| intravenous)? (?:contrast|gado\w+|dye)|(?:iv )?contrast allerg\w*",
    re.IGNORECASE,
)
_ORAL_AND: Final = re.compile(
    r"\b(?:oral|po|rectal)\s*(?:and|&|/|\+)\s*(?=iv\b|intra)|(?<=\biv)\s*(?:and|&|/|\+)\s*(?:oral|po|rectal)\b",
    re.IGNORECASE,
)
_MEDIUM: Final = (
    r"(?:i\.?v\.?[ -]|intraven\w{1,9} |produit de |m(?:ezzo|edio)s? (?:di |de )|agente de )?"
    r"(?:km\b|[ck]ontrast\w*|mdc\b|pdc\b|civ\b|injection|gad\w+|gd\b)"
)
_FOREIGN_WITH: Final = r"\b(?:mit|avec|con|com|met|med|z|ze)"
_FOREIGN_WITHOUT: Final = r"\b(?:ohne|sans|sin|senza|sem|zonder|u[dt]+en|utan|bez)"
_WITHOUT: Final = re.compile(
    r"\bw/?o\b|\bwithout\b|\bnon-? ?contrast|\bno (?:iv |intravenous )?contrast|\bunenhanced|\bnon-?enhanced|\bncct\b"
    rf"|{_FOREIGN_WITHOUT} {_MEDIUM}|\bnativ(?:e[sn]?)?\b|\bblanco\b",
    re.IGNORECASE,
)
_APART: Final = r"\s*(?:and|&|\+|/|,)?\s*"
_BOTH: Final = re.compile(
    rf"(?:\bw/?o|\bwithout){_APART}(?:with\b|w/(?!o)|w\b(?!/?o))|(?:\bwith\b|\bw/|\bw\b){_APART}(?:w/?o\b|without\b)"
    r"|\bpre[- ]?(?:and|&|/)[- ]?post[- ]contrast"
    rf"|(?:{_FOREIGN_WITHOUT}|\bnativ\w*)(?: {_MEDIUM})? ?(?:und|et|puis|e|y|en|og|och|i|/|\+|&) ?{_FOREIGN_WITH}\b"
    rf"|{_FOREIGN_WITH}(?: {_MEDIUM})? ?(?:und|et|e|y|en|og|och|i|/|\+|&) ?{_FOREIGN_WITHOUT}\b",
    re.IGNORECASE,
)
_WITH: Final = re.compile(
    r"\b(?:with|w)\b/?\s*(?:the )?"
    r"(?:(?:po|oral) (?:and|&|\+) )?(?:iv |i\.v\. |intravenous |iodinated )?(?:contrast|con\b|cont\b|gad\w*|dye)"
    r"|\biv contrast|intravenous contrast|contrast[- ]enhanced|\benhanced ct|\bcect\b|\+ ?c(?:ontrast)?\b|\bc\+"
    r"|\bpost[- ]contrast|\bgado\w+"
    r"|\b(?:omniscan|magnevist|optimark|multihance|gad[ao]vist|dotarem|clariscan|prohance|eovist|omnipaque"
    r"|iohexol|visipaque|iodixanol|isovue|iopamidol|ultravist|iopromide|optiray|ioversol|iom[eé]ron|xenetix|primovist)\b"
    rf"|{_FOREIGN_WITH} {_MEDIUM}|\bi\.?v\.?[ -](?:km|kontrast\w*)\b|\b(?:km|kontrastmittel)-?gest"
    r"|\binject[eé]e?\b|\bkontrastverst",
    re.IGNORECASE,
)
_ENDS_WITH: Final = re.compile(r"(?:\bwith|\bw/?)\s*$", re.IGNORECASE)

_LUMBAR: Final = re.compile(
    r"\blumb[aoå]|lumbosacral|\bl-?spine|\blws\b|lendenwirbel|\blomba|\blombo|l[ęe]d[źz]wi|\blændery|\bländrygg",
    re.IGNORECASE,
)
# As in studies.csv: abdomen, pelvis, hip, sacrum, lumbar spine, bowel, kidneys and bladder.
_TRUNK: Final = re.compile(
    r"\babdom\w*|\bpelvi\w*|\babd\b|\bpel\b|\bkub\b|\b(?:c/)?a/p\b|\bctap\b|\bhips?\b|\bsacr\w+|\bcoccyx|\bsi joints?\b"
    r"|barium enema|small bowel|upper gi|hysterosalping|\bhsg\b|pyelogra|urogra|\bivp\b|cystogra|renal|kidney"
    r"|stone protocol|whole body|skull(?: base)? to (?:mid-?)?thigh"
    r"|\babd[oó]m|\baddom|\bunterbauch|\boberbauch|\bbauch|\bbuik|\bbuk(?:en)?\b|\bbrzu|becken|\bbekken|b[æä]cken|miednic|\bbassin"
    r"|\bbacin|\bcadera|\bhanche|\banca\b|\bhüft|\bheup|\bh[oö]ft|\bhofte|\bbiodr|\btap\b|\bnieren|\br[eé]na[lu]|\briñ|\brins?\b|\basp\b"
    r"|ganzkörper|corps entier|cuerpo entero|corpo int|total body|kreuzbein",
    re.IGNORECASE,
)
_SCREENING_WORDS: Final = re.compile(
    r"screen|d[eé]pistage|vorsorge|fr[üu]herkennung|cribado|tamizaje|rastre(?:io|amento)", re.IGNORECASE
)
_BREAST: Final = re.compile(r"mamm?ogra|\bmammo\b|\bbreast tomosynthesis|\btomo\w* breast", re.IGNORECASE)
_BONE: Final = re.compile(r"\bde?xa\b|bone (?:mineral )?densi", re.IGNORECASE)
_LOW_DOSE: Final = re.compile(r"\bldct\b|low[- ]dose|lung (?:cancer )?screen", re.IGNORECASE)

# What stands beside the name of a test and adds nothing to it.
_ADDS_NOTHING: Final = re.compile(
    r"\b(?:level|levels|test|tests|testing|lab|serum|plasma|blood|whole blood|venous|routine|screen|screening|fasting"
    r"|annual|repeat|measurement|procedure|assay|quantitative|quant|point of care|poc|in|of|with reflex"
    r"|reflex|diagnostic|third generation|3rd generation)\b|(?<![\d.])[\d.]+ ?(?:x|times)\b|[()\[\],;:]",
    re.IGNORECASE,
)
_REFLEX: Final = re.compile(r"\bw(?:ith|/)? ?reflex\b.*", re.IGNORECASE)
_WITH_SHORT: Final = re.compile(r"\bw/(?!o\b) ?|\bw (?=\w)", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"\s*[()\[\],;:]\s*|\s[-–—]\s")


def _plain(words: str) -> str:
    spelled = _WITH_SHORT.sub("with ", _REFLEX.sub(" ", words.lower()))
    return " ".join(_ADDS_NOTHING.sub(" ", spelled.replace("haem", "hem").replace("-", " ")).split())


_NAMES: Final[Mapping[str, str]] = {
    _plain(name): row["loinc"] for row in table_rows("test_names.csv") for name in row["names"].split(";")
}


class OrderableTest(Struct, frozen=True):
    """A row of `orderable_tests.csv`: one order, the inputs of equations that it answers, and how it is called.

    LOINC codes: the panels as charted in shared/data/fhir (57698-3, 51990-0, 58410-2), 24325-3 from HL7's value set of
    diagnostic requests, 9318-7 from shared/data/codes/loinc_analytes.csv.
    """

    loinc: str
    name: str
    words: str
    """Its name inside a sentence."""
    answers: frozenset[str]
    called: re.Pattern[str]
    """What its orders, or those of a panel that holds it, are called where they have a code of the hospital's own."""


ORDERABLE_TESTS: Final = tuple(
    OrderableTest(
        loinc=row["loinc"],
        name=row["name"],
        words=row["words"],
        answers=frozenset(row["answers"].split(";")),
        called=re.compile(row["called"], re.IGNORECASE),
    )
    for row in table_rows("orderable_tests.csv")
)
LONGEST: Final = 400
"""Longer words are read no further."""


@remembered("tests named in words", entries=2048, longest=LONGEST)
def loinc_of_words(words: str) -> str | None:
    """Return the LOINC code of the laboratory or screening test that the words name, and nothing else beside it.

    >>> loinc_of_words("Haemoglobin A1c (HbA1c), blood"), loinc_of_words("TSH receptor antibody")
    ('4548-4', None)
    """
    whole = _NAMES.get(_plain(words[:LONGEST]))
    if whole is not None:
        return whole
    parts = [part for piece in _BETWEEN.split(words[:LONGEST]) if (part := _plain(piece))]
    loincs = {_NAMES.get(part) for part in parts}
    return loincs.pop() if len(loincs) == 1 else None


def modality_named(words: str) -> str:
    """Find the modality that the words of an order name (CT, MR, XR, or XA for contrast into a vessel), '' for none."""
    modality = next(
        (name for name, pattern in (("CT", _CT), ("MR", _MR), ("CT", _CT_ABROAD)) if pattern.search(words)), ""
    )
    if not modality and _VESSELS.search(words) and not _NO_IODINE.search(words):
        return "XA"
    return modality or ("XR" if _XR.search(words) else "")


def goes_into_an_artery(words: str) -> bool:
    """Whether the words name a study by a catheter in an artery."""
    return modality_named(words) == "XA" and _INTO_ARTERY.search(words) is not None


def says_contrast(words: str, detail: str, *, is_coded: bool) -> bool:
    """Whether the words say that contrast goes into a vessel; no where they say nothing of it.

    `is_coded`: a code says which study it is; else one that is always done with contrast is known by its name.
    """
    sentence = f"{words[:LONGEST]} . {detail[: 4 * LONGEST]}"
    for beside in (_ALLERGY, _ORAL_AND, _SWALLOWED):
        sentence = beside.sub(" ", sentence)
    if _BOTH.search(sentence):
        return True
    if _WITHOUT.search(sentence):
        return False
    if not is_coded and (_CT_OF_VESSELS.search(words) or modality_named(words) == "XA"):
        return True
    return bool(_WITH.search(sentence) or _ENDS_WITH.search(words))


def exposes_uterus(words: str) -> bool:
    """Whether the study that the words name exposes the uterus: a beam through it, or a tracer in the blood."""
    if _TRACER.search(words):
        return True
    return modality_named(words) in ("CT", "XR", "XA") and bool(_TRUNK.search(words) or _LUMBAR.search(words))


def is_of_lumbar_spine(words: str) -> bool:
    """Whether the words name the lumbar spine."""
    return _LUMBAR.search(words) is not None


def screening_imaging_named(words: str) -> Iterator[str]:
    """Yield the groups of screening by imaging that the words name."""
    if _BONE.search(words) and "ultraso" not in words.lower():
        yield "dxa"
    if _SCREENING_WORDS.search(words):
        if _BREAST.search(words):
            yield "mammography"
        if _LOW_DOSE.search(words):
            yield "lung_ct"


_NO_RESULT = re.compile(
    r"\b(?:not (?:done|performed|tested|obtained|collected|available|evaluable)|unsatisfactory|inadequate|insufficient"
    r"|clotted|ha?emoly[sz]ed|invalid|indeterminate specimen|rejected|cancel+ed|unknown|never|pending|refused"
    r"|declined)\b",
    re.IGNORECASE,
)


def says_no_result(words: str) -> bool:
    """Whether the words of a value say that the test has none.

    >>> says_no_result("Unsatisfactory for evaluation"), says_no_result("Negative")
    (True, False)
    """
    return _NO_RESULT.search(words) is not None
