"""Whoever reads words reads them up to a length, at which the time is still short, and reads nothing of longer ones."""

from collections.abc import Callable
from typing import Any

from fhir.mapping.medications.sig import read_sig, said_instead
from fhir.mapping.medications.sig_steps import steps_of
from fhir.terminology.analytes import _key_of_name
from fhir.terminology.condition_words import code_of_words
from fhir.terminology.dosing import said_route
from fhir.terminology.medication_names import no_drug_kind, read_name, read_order_name
from fhir.terminology.vaccines import families_of_words
from tests.each import for_rows

READERS: list[tuple[Callable[[str], Any], str, int]] = [
    (read_name, "metformin", 1000),
    (read_order_name, "metformin", 1000),
    (no_drug_kind, "lancets", 1000),
    (code_of_words, "Congestive heart failure", 120),
    (read_sig, "2 tabs po q6h", 1000),
    (said_instead, "once mr1", 1000),
    (steps_of, "Take 2 tablets on day 1, then 1 tablet daily on days 2-5", 1000),
    (said_route, "2 mg IV", 1000),
    (families_of_words, "Shingrix", 1000),
    (_key_of_name, "potassium", 160),
]


@for_rows(("read", "words", "longest"), READERS)
def test_words_are_read_up_to_a_length_and_not_beyond(read: Callable[[str], Any], words: str, longest: int) -> None:
    of_nothing = read("x" * (longest + 1))
    assert read(words) != of_nothing
    assert read(words.ljust(longest)) == read(words)
    assert read(words.ljust(longest + 1)) == of_nothing
