"""Puts the commonest German and Spanish words of a sig into English (tables/sig_words.csv), and the scheme "1-0-1".

A word that is not in the table stays as it is, so that what it says is not read and not guessed.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from fhir.terminology.late_pattern import late_pattern
from fhir.terminology.medications import table_rows

_ENGLISH: Final[Mapping[str, Mapping[str, str]]] = {
    language: {row["text"]: row["english"] for row in table_rows("sig_words.csv") if row["language"] == language}
    for language in ("de", "es")
}
_WORDS: Final = {
    language: late_pattern(r"(?<!\w)(?:" + "|".join(sorted(english, key=len, reverse=True)) + r")(?!\w)\.?")
    for language, english in _ENGLISH.items()
}
# Words that no English sig has: only a text with one of them is put into English.
_SIGNS: Final = {
    "de": late_pattern(
        r"(?<!\w)(?:tabletten?|filmtabletten?|tbl\.|kapseln?|täglich|taeglich|tgl|zweimal|dreimal|am tag|pro tag"
        r"|alle \d|stunden|std|morgens|mittags|abends|zur nacht|bei bedarf|hübe|einheiten|wöchentlich)(?!\w)"
    ),
    "es": late_pattern(
        r"(?<!\w)(?:tabletas?|comprimidos?|pastillas?|c[áa]psulas?|cada|veces|al d[íi]a|por la|diari[oa]|tomar|tome"
        r"|unidades|cucharaditas?|inyectar|aplicar|parche)(?!\w)"
    ),
}
_ENGLISH_WORD: Final = {
    language: partial(lambda english, match: english[match.group().rstrip(".")], english)
    for language, english in _ENGLISH.items()
}
_PART = r"(?:\d{1,3}(?:[.,]\d{1,2})?|1/2|1/4|½|¼)"
_SCHEME = late_pattern(
    rf"(?:^|(?<=: )|(?<= ))(?P<parts>{_PART} ?- ?{_PART} ?- ?{_PART}(?: ?- ?{_PART})?)(?![\w/-])"
    r"(?: (?P<unit>ie|einheiten|units|tbl|tabletten?|kapseln?|hub|hübe|ml)\b\.?)?"
)
_MOMENTS = ("in the morning", "at noon", "in the evening", "at bedtime")


def in_english(words: str) -> str:
    """The words of a sig in small letters with German or Spanish terms in English; other words come back as they are.

    >>> in_english("1 tablette alle 8 stunden"), in_english("tomar una tableta dos veces al día")
    ('1 tablet every 8 hours', 'take 1 tablet twice a day')
    >>> in_english("1-0-1")
    '1 each in the morning and 1 each in the evening'
    """
    text = _SCHEME.sub(lambda match: _spelled_out(match["parts"], match["unit"]), words) if "-" in words else words
    for language, signs in _SIGNS.items():
        if signs.search(text):
            return _WORDS[language].sub(_ENGLISH_WORD[language], text).replace("  ", " ")
    return text


def _spelled_out(parts: str, unit: str | None) -> str:
    """ "1-0-2 IE" as amounts of the moments of the day; "0-0-0" says nothing."""
    name = "units" if unit in ("ie", "einheiten", "units") else "ml" if unit == "ml" else "each"
    numbers = [part.strip().replace(",", ".") for part in parts.split("-")]
    amounts = zip(numbers, _MOMENTS, strict=False)
    return " and ".join(f"{number} {name} {moment}" for number, moment in amounts if number.strip("0.") != "") or parts
