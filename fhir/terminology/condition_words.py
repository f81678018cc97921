"""What a condition means that is charted in words alone ("Congestive heart failure (HCC)"), as an ICD-10-CM code.

The whole text must be a name of tables/condition_words.csv, but for words that do not change what it is ("chronic",
"left", "unspecified") and for what follows "with" or "due to". So "no heart failure", "rule out DVT" and "family
history of stroke" mean nothing here: a text that is not understood stays a text. The names are those of the ICD-10-CM
index and the usual abbreviations of problem lists; a name stands for the code that the index gives it.
"""

import re
from collections.abc import Mapping
from typing import Final

from fhir.terminology.caching import remembered
from fhir.terminology.medications import table_rows

ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
_LONGEST = 120
# Epic and Cerner add (HCC) to what counts for payment, SNOMED CT its semantic tag to the fully specified name.
_TAG = re.compile(r"\((?:hcc|cms[/-]hcc|cms hcc|disorder|finding|situation|event)\)")
_DIGRAPH = re.compile(r"[ao]e")
_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_TAIL = re.compile(r" (?:with|without|due to|secondary to|associated with)(?: .*)?$")
_SAME_DISEASE = re.compile(
    r"\b(?:acute on chronic|acute|active|bilateral|chronic|controlled|current|known|left|longstanding|nos|recurrent"
    r"|right|severe|stable|uncontrolled|unspecified)\b"
)

# Of them those that no name of the table holds: "Chronic obstructive pulmonary disease, unspecified" keeps "chronic".
_SAYS_NOTHING = re.compile(
    r"\b(?:(?:stage|type|severity|site|episode) unspecified|not elsewhere classified|(?:initial|subsequent) encounter"
    r"|active|bilateral|current|known|left|nos|other|right|unspecified)\b"
)

# Before the name of a disease these say that the patient does not have it: "family history of breast cancer".
_RELATIVES = (
    r"mother|father|brother|sister|son|daughter|parents?|siblings?|aunt|uncle|cousin|grand(?:mother|father|parent)"
    r"|relatives?|husband|wife|spouse|partner"
)
_NOT_THIS_PATIENT = re.compile(
    r"(?:\b(?:no|not|never|denie[sd]|without|negative|absence|ruled? ?-?out|r/o|family|fhx?|screen\w*|risk|exposure"
    rf"|suspected|possible|concern|fear|worried|{_RELATIVES})\b|\?)[^.;]*$",
    re.IGNORECASE,
)
# The same behind it, in the same clause: "esophagitis - ruled out", "breast cancer (sister)", "stroke risk".
_TAKEN_BACK = (
    r"(?:was |were |is |has been |now )?(?:ruled[ -]?out|excluded|unlikely|denied|disproved|refuted|negative"
    r"|not (?:present|found|confirmed|seen|likely|suspected)|suspected|possible|questionable"
    r"|screen(?:ing|ed)?|risk"
    r"|(?:in |of )?(?:(?:the |her |his |patient'?s )?(?:maternal |paternal )?"
    rf"(?:{_RELATIVES}|family(?: history)?|fhx?)))\b"
)
# Without a sign before it, only where nothing else comes between: "esophagitis with a high risk of bleeding" is one.
_NOT_AFTER_ALL = re.compile(
    r"(?:(?!\b(?:with|without|due|after|despite|and|on|at|high|low|patient)\b)[^.;,()])*?"
    rf"(?:(?<=[\s:-]){_TAKEN_BACK}|\?)"
    rf"|[^.;()]*?[,(:-]\s*(?:{_TAKEN_BACK})(?=\s*(?:[.;,)]|$|by\b|in\b|on\b|per\b))"
    rf"|[^.;,()]*?\s(?:ruled[ -]?out|excluded|unlikely|in (?:the |her |his )?(?:{_RELATIVES}))\W*$",
    re.IGNORECASE,
)
_BEFORE, _BEHIND = 60, 80


def is_of_patient(words: str, start: int) -> bool:
    """Whether what stands at `start` of a text is said of the patient, and not denied, suspected or of the family.

    >>> is_of_patient("Family history of breast cancer", 18), is_of_patient("History of breast cancer", 11)
    (False, True)
    >>> is_of_patient("Esophagitis - ruled out", 0), is_of_patient("NSTEMI, embolism ruled out", 0)
    (False, True)
    """
    if _NOT_THIS_PATIENT.search(words[max(0, start - _BEFORE) : start]) is not None:
        return False
    return _NOT_AFTER_ALL.match(words[start : start + _BEHIND]) is None


@remembered("conditions in words", entries=2048, longest=_LONGEST)
def code_of_words(words: str) -> str | None:
    """The ICD-10-CM code that a text names; None for a text that is no name of a condition of the table.

    >>> code_of_words("Congestive heart failure, unspecified (HCC)"), code_of_words("No heart failure")
    ('I50.9', None)
    """
    if len(words) > _LONGEST:
        return None
    if _NOT_AFTER_ALL.match(words) is not None:
        return None
    text = _plain(words)
    for variant in (text, _TAIL.sub("", text)):
        bare = _without(_SAYS_NOTHING, variant)
        code = _CODES.get(variant) or _CODES.get(bare) or _CODES.get(_without(_SAME_DISEASE, bare))
        if code is not None:
            return code
    return None


def _without(qualifiers: re.Pattern[str], text: str) -> str:
    return " ".join(qualifiers.sub(" ", text).split())


def _plain(words: str) -> str:
    """In lower case, without punctuation, and with the American spelling ("haemorrhage", "oedema")."""
    untagged = _TAG.sub(" ", words.lower())
    if "?" in untagged:
        return ""  # a question is no diagnosis
    return _DIGRAPH.sub("e", _PUNCTUATION.sub(" ", untagged).strip())


_CODES: Final[Mapping[str, str]] = {
    _plain(name): row["icd10"] for row in table_rows("condition_words.csv") for name in row["words"].split(";")
}
