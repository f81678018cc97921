"""Drugs by the codes and names of other countries: RxNorm codes without words, ATC groups, INN, brands, insulins."""

from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept, Coding
from fhir.terminology.medication_names import medication_of_code, read_name
from fhir.terminology.medications import RXNORM, drug_system, rxnorm_entry, table_rows
from tests.each import for_rows


def _names(words: str) -> list[str]:
    return sorted(ingredient.name for ingredient in read_name(words).ingredients)


def _of_code(system: str, code: str, words: str = "") -> tuple[list[str], frozenset[str]]:
    identity = identify_concept(CodeableConcept((Coding(system, code, words),)))
    return sorted(identity.name.split("/")), identity.classes


@for_rows("words", ["Micardis Duo", "Micardis duo 80/12,5", "ACC", "Marcumarin"])
def test_a_suffix_a_prefix_and_a_longer_word_make_another_product(words: str) -> None:
    assert _names(words) == []


@for_rows(
    "system",
    [
        "http://www.nlm.nih.gov/research/umls/rxnorm", "https://www.nlm.nih.gov/research/umls/rxnorm/",
        "urn:oid:2.16.840.1.113883.6.88", "2.16.840.1.113883.6.88",
    ],
)  # fmt: skip
def test_an_rxnorm_code_without_words_is_read_by_every_address(system: str) -> None:
    assert drug_system(system) == "rxnorm"
    assert _of_code(system, "248648")[0] == ["insulin isophane"]


def test_every_line_of_the_rxnorm_table_is_reached_and_recognised() -> None:
    rows = table_rows("rxnorm_products.csv")
    codes = [int(row["rxcui"]) for row in rows]
    assert len(codes) > 25_000
    assert codes == sorted(set(codes))
    for row in (*rows[:3], *rows[::97], *rows[-3:]):
        entry = rxnorm_entry(row["rxcui"])
        assert entry is not None
        assert entry.name == row["name"]
        product = medication_of_code(RXNORM, row["rxcui"])
        assert product is not None
        assert product.ingredients
        assert len(product.strengths) == len(product.ingredients)
        stated = set(filter(None, row["ingredients"].split(";")))
        assert not stated or {part.rxcui for part in product.ingredients} == stated
    assert rxnorm_entry("0") is None
    assert rxnorm_entry("99999999") is None
    assert [code for code in ("²", "", "6809a", "metformin", "-1", "1.5") if rxnorm_entry(code) is not None] == []


@for_rows(
    ("words", "ingredient"),
    [
        ("Nitrendipin 20 mg", "nitrendipine"),
        ("CANDESARTAN-AMLODIP Kaps 8mg/5mg", "candesartan;amlodipine"),
        ("EZETIMIB Atorvast Filmtabl 10mg/40mg", "ezetimibe;atorvastatin"),
        ("furosemidum", "furosemide"),
        ("Enalaprilo 10 mg", "enalapril"),
        ("Omeprazolo", "omeprazole"),
        ("Simvastatine 40 mg", "simvastatin"),
        ("Metoprololo", "metoprolol"),
        ("Ibuprofensaft 4 %", "ibuprofen"),
        ("Paracetamolzäpfchen 500 mg", "acetaminophen"),
        ("Potassium 40 mEq PO", "potassium"),
        ("Potassium 40mEq", "potassium"),
        ("Kalium-Brausetabletten 40 mmol", "potassium"),
        ("Losartan potassium 50 mg", "losartan"),
    ],
)
def test_the_ending_of_another_language_does_not_change_the_ingredient(words: str, ingredient: str) -> None:
    assert ";".join(member.name for member in read_name(words).ingredients) == ingredient
