"""What a concept means: by its codes, else by its words; and whether it was understood."""

from fhir.mapping.condition_concepts import ConceptReading, MeantGroup, read_concept
from fhir.record.datatypes import CodeableConcept, Coding
from tests.each import for_rows

ICD10, SNOMED, OTHER = "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct", "urn:site"


def concept(text: str | None, *codes: tuple[str, str, str | None]) -> CodeableConcept:
    return CodeableConcept(tuple(Coding(system, code, display or "") for system, code, display in codes), text or "")


def groups(read: ConceptReading) -> dict[str, str]:
    return {meant.group: meant.code for meant in read.meant}


def test_codes_say_what_they_say_whatever_the_words_are() -> None:
    read = read_concept(concept("Gout", (ICD10, "N18.4", None)))
    of_code = ("ckd4", "ckd_any", "renal_insufficiency")
    assert read == ConceptReading(tuple(MeantGroup(group, "N18.4") for group in of_code), (), True, of_code)
    own = read_concept(concept("Congestive heart failure", (ICD10, "I50.9", "Heart failure, unspecified")))
    assert ("heart_failure" in groups(own), own.mentions) == (True, ())
    other = read_concept(concept("Congestive heart failure", (ICD10, "N18.4", "Congestive heart failure")))
    assert set(groups(other)) == set(of_code)
    first = read_concept(concept(None, (ICD10, "N18.4", None), (ICD10, "N18.5", None)))
    assert groups(first)["ckd_any"] == "N18.4"
    assert groups(first)["ckd5_or_dialysis"] == "N18.5"


@for_rows(
    ("text", "codes", "expected", "is_understood"),
    [
        ("Gout", (), {"gout"}, True),
        ("Gout", (("urn:a-system-of-nobody", "1", None),), {"gout"}, True),
        ("Gout", ((ICD10, "Z00.0", None),), {"gout"}, True),
        ("Schwangerschaft", ((ICD10, "Z33", None),), {"pregnancy"}, True),
        ("OTC deficiency", ((ICD10, "E72.4", None),), {"urea_cycle"}, True),
        ("Gout", ((ICD10, "S93.401A", None),), set(), True),
        ("Xyzzy", ((ICD10, "Z00.0", None),), set(), True),
        ("Gout", ((SNOMED, "1", None),), {"gout"}, True),
        (None, (("urn:a-system-of-nobody", "1", "Gout"),), {"gout"}, True),
        (None, (("urn:a-system-of-nobody", "1", "Xyzzy"), ("urn:a-system-of-nobody", "2", "Gout")), {"gout"}, True),
        ("Xyzzy", (("urn:a-system-of-nobody", "1", "Gout"),), {"gout"}, True),
        ("No gout", (), set(), True),
        ("Mother has gout", (), set(), True),
        ("Suspected gout", (), set(), True),
        (None, ((SNOMED, "195662009", None),), set(), True),
        (None, ((SNOMED, "1", None),), set(), False),
    ],
)
def test_words_count_where_no_code_is_understood(
    text: str | None, codes: tuple[tuple[str, str, str | None], ...], expected: set[str], is_understood: bool
) -> None:
    read = read_concept(concept(text, *codes))
    assert (expected <= set(groups(read)), bool(read.meant), read.is_understood) == (
        True, bool(expected), is_understood,
    )  # fmt: skip


@for_rows(("code", "text"))
def test_words_that_take_back_a_code_win(code: str, text: str) -> None:
    read = read_concept(concept(text, (ICD10, code, None)))
    assert (read.meant, read.is_understood) == ((), True)
    assert read.coded
    assert not read_concept(concept(None, (ICD10, code, text))).meant


@for_rows(("code", "text", "group"))
def test_words_that_deny_something_else_take_back_no_code(code: str, text: str, group: str) -> None:
    assert group in groups(read_concept(concept(text, (ICD10, code, None))))
