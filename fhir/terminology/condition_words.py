"""What a condition means that is charted in words alone ("Congestive heart failure (HCC)"), as an ICD-10-CM code.

The whole text must be a name of tables/condition_words.csv, but for words that do not change what it is ("chronic",
"left", "unspecified") and for what follows "with" or "due to". So "no heart failure", "rule out DVT" and "family
history of stroke" mean nothing here: a text that is not understood stays a text. The names are those of the ICD-10-CM
index and the usual abbreviations of problem lists; a name stands for the code that the index gives it.
"""

import re
from collections.abc import Mapping
from typing import Final

from fhir.terminology.assertions import is_of_patient
from fhir.terminology.medications import table_rows

ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
_LONGEST = 120
# Epic and Cerner add (HCC) to what counts for payment, SNOMED CT its semantic tag to the fully specified name.
_TAG = re.compile(r"\((?:hcc|cms[/-]hcc|cms hcc|disorder|finding|situation|event)\)")
_DIGRAPH = re.compile(r"[ao]e")
_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_WITHOUT = re.compile(r",? without\b[^,;.]*", re.IGNORECASE)
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


def code_of_words(words: str) -> str | None:
    """Return the ICD-10-CM code that a text names; None for a text that is no name of a condition of the table.

    >>> code_of_words("Congestive heart failure, unspecified (HCC)"), code_of_words("No heart failure")
    ('I50.9', None)
    """
    if len(words) > _LONGEST:
        return None
    text = _plain(words)
    if text in _CODES:  # "Encounter for care and examination of lactating mother" is of nobody else
        return _CODES[text]
    if not is_of_patient(_WITHOUT.sub("", words), 0):
        return None
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
