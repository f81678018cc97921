"""Spelling of sigs: numbers in words and fractions, dotted abbreviations, one blank between words."""

import re

NUMBER = r"(?:\d+(?:\.\d+)?|\.\d+)"
UNIT = (
    r"milligrams?|micrograms?|grams?|mcg|mg|µg|ug|gm|g|ml|milliliters?|cc|tsp|teaspoons?|tbsp|tablespoons?"
    r"|tablets?(?:\(s\))?|tabs?(?:\(s\))?|tbl|capsules?(?:\(s\))?|caps?(?:\(s\))?|pills?|caplets?|gelcaps?|softgels?"
    r"|suppository|suppositories|supp|films?|strips?|packets?|sachets?|vials?|ampules?|syringes?|lozenges?|patch(?:es)?"
    r"|puffs?|inhalations?|sprays?|units?|iu|meq|mmol|each"
)
_WORDS = {
    "one-half": "0.5",
    "one half": "0.5",
    "half a": "0.5",
    "half": "0.5",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "twelve": "12",
}
_IN_WORDS = re.compile(r"\b(?:" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")\b")
_AND_A_HALF = re.compile(r"\b(\d+)(?: and a half| and a 0\.5| and 0\.5|-0\.5| 0\.5|½)")
# A warning is no frequency.
_NOT_DAILY = re.compile(r"\b(?:do )?not (?:to be )?(?:take[n]? |use[d]? )?(?:it |this )?(?:daily|every day)\b")
_FRACTION = re.compile(r"(?<![\d.])(?:(\d+) )?(\d)/([2348])(?![\d/])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_DOTTED = re.compile(r"\b([a-z])\.\s?([a-z])\.\s?(?:([a-z])\.\s?)?(?:([a-z])\.)?")
_REPEATED = re.compile(r"\b(\d+) \(\1\)")
_A_TABLET = re.compile(r"\b(?:an?) (?=(?:" + UNIT + r")\b)")
_ROMAN = re.compile(r"\b(i{1,3})(?= (?:tab|cap|po\b|by mouth))")
# "1 po bid": what is taken by mouth and has no unit is counted.
_UNITLESS = re.compile(
    rf"(?:^|(?<=take )|(?<=give )|(?<=sig: ))({NUMBER}(?: ?(?:-|to|or) ?{NUMBER})?)(?= (?:po|by mouth|orally)\b)"
)
_DISPENSED = re.compile(r"(?:#|\b(?:disp(?:ense)?|qty|quantity)[:.]?) ?\d+(?: (?:tab|cap)\w*)?")
_BLANKS = re.compile(r"\s+")


def as_number(text: str) -> float:
    """The number in normalised words."""
    return float(text)


def normalised(words: str) -> str:
    """The words in lower case with numbers as digits.

    >>> normalised("Take ONE (1) tablet b.i.d.")
    'take 1 tablet bid'
    >>> normalised("1 1/2 tabs"), normalised("1½ tab"), normalised("1,000 mg")
    ('1.5 tabs', '1.5 tab', '1000 mg')
    """
    text = words.lower().replace("μ", "µ").replace("–", "-").replace("−", "-").replace("×", " x ")
    text = _THOUSANDS.sub("", text)
    text = _DOTTED.sub(lambda match: "".join(part or "" for part in match.groups()) + " ", text)
    text = _IN_WORDS.sub(lambda match: _WORDS[match.group()], text)
    text = _AND_A_HALF.sub(lambda match: f"{match[1]}.5", text).replace("½", "0.5").replace("¼", "0.25")
    text = _FRACTION.sub(_decimal, text)
    text = _BLANKS.sub(" ", _DISPENSED.sub(" ", text)).strip()
    text = _A_TABLET.sub("1 ", _REPEATED.sub(r"\1", text))
    text = _ROMAN.sub(lambda match: str(len(match[1])), text)
    return _UNITLESS.sub(r"\1 each", _NOT_DAILY.sub(" ", text))


def _decimal(match: re.Match[str]) -> str:
    value = int(match[1] or 0) + int(match[2]) / int(match[3])
    return f"{value:g}"
