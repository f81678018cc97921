"""Activity scores that come as numbers, and words beside a genotype that say nothing more or are not understood."""

from typing import Any

import pytest

from fhir.mapping.genomics.translation import translate
from tests.fhir.mapping.genomics.test_results import _concept, _keys, _observation

_ABOVE = ("2.5", "2.75", "3.0", "4.0", "≥3.0", "≥3.25", "≥3.5", "≥3.75", "≥4.0", "≥5.0", "≥6.0")


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ({"valueInteger": 2}, ("2.0",)),
        ({"valueQuantity": {"value": 1.25}}, ("1.25",)),
        ({"valueQuantity": {"value": 3, "comparator": ">="}}, ("≥3.0",)),
        ({"valueQuantity": {"value": 2.25, "comparator": ">"}}, _ABOVE),
        ({"valueQuantity": {"value": 1, "comparator": "<"}}, ()),
        ({"valueQuantity": {"value": 1, "comparator": "<="}}, ()),
        ({"valueQuantity": {"value": 9}}, ()),
        ({"valueQuantity": {"unit": "score"}}, ()),
    ],
)
def test_a_number_is_a_score_where_its_code_says_so(value: dict[str, Any], keys: tuple[str, ...]) -> None:
    assert _keys("CYP2D6", _observation(code=_concept(text="CYP2D6 activity score"), **value)) == keys
    assert _keys("CYP2D6", _observation(code=_concept(text="CYP2D6 copies"), **value)) == ()


_RISK = "increased risk of aminoglycoside-induced hearing loss"


@pytest.mark.parametrize(
    ("gene", "text", "keys"),
    [
        ("CYP2C19", "*1/*2; positive", ()),
        ("CYP2C19", "*1/*2; status", ("Intermediate Metabolizer",)),
        ("MT-RNR1", "m.1555A>G; positive", (_RISK,)),
        ("MT-RNR1", "m.1555A>G; detected", (_RISK,)),
        ("MT-RNR1", "m.1555A>G; present", (_RISK,)),
        ("MT-RNR1", "m.1555A>G; increased risk", (_RISK, _RISK)),
        ("MT-RNR1", "m.1555A>G; blue", ()),
    ],
)
def test_words_beside_a_genotype(gene: str, text: str, keys: tuple[str, ...]) -> None:
    assert tuple(key for translation in translate(gene, text) for key in translation.keys) == keys
