"""How words of charts and orders are read, whole: a line for each text with what every reader makes of it.

    python -m tests.fhir.readings            # lists the texts that are read otherwise than reviewed
    python -m tests.fhir.readings --write    # you confirm them; review the difference before you commit

The texts stand in tests/cases/readings/*.txt, before the tab; a new one is a line with the text alone. The last lines
of each file, and all notes, were drawn by chance and chosen because each decides a condition of the code that no other
line decides: they say what is read today, not that it is right.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from math import isnan
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from fhir.mapping import stays, study_words, understanding
from fhir.mapping.features.feature import Feature
from fhir.mapping.genomics import genotypes, translation, words
from fhir.mapping.medications import identity, sig, sig_frequency, sig_languages, sig_steps
from fhir.mapping.studies import screening_groups_of
from fhir.notes.reading import read_note
from fhir.record import datatypes
from fhir.record.datatypes import CodeableConcept
from fhir.terminology import (
    allergens,
    analytes,
    assertions,
    condition_words,
    conditions,
    contrast_media,
    dosing,
    medication_names,
    medication_strength,
    phrases,
    units,
    vaccines,
)
from fhir.terminology.medications import Ingredient
from tests.conftest import ROOT

FOLDER: Final = ROOT / "tests" / "cases" / "readings"
CONFIRM: Final = "review what changed, then: .venv/bin/python -m tests.fhir.readings --write"
Reader = Callable[[str], Any]


def plain(value: Any) -> str:
    """Return a value as a short text that is the same in every process: of a struct what is not its default."""
    if isinstance(value, Ingredient | Feature):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        members = (f"{field.name}={plain(getattr(value, field.name))}" for field in fields(value) if field.compare)
        return f"{type(value).__name__}({', '.join(members)})"
    if isinstance(value, Struct):
        with_values = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(value))
        shown = [f"{field.name}={plain(member)}" for field, member in with_values if member not in (field.default, "")]
        return f"{type(value).__name__}({', '.join(shown)})"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(plain(member) for member in value)) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{plain(key)}: {plain(member)}" for key, member in value.items())) + "}"
    if isinstance(value, list | tuple | Iterator):
        return "[" + ", ".join(plain(member) for member in value) + "]"
    if isinstance(value, float):
        return "nan" if isnan(value) else f"{value:.9g}"
    return str(value)


def _understood(words: str, kind: str, element: str) -> object:
    """What the page of a chart says of a resource with these words."""
    read = understanding.understand({"resourceType": kind, "status": "active", element: {"text": words}})
    return msgspec.structs.replace(read, words="", resource="")


def _assertions(text: str) -> list[object]:
    """What is asserted of every third word, and whether it is of the patient."""
    starts = [token.start for token in assertions.tokens_of(text)][::3]
    asserted = assertions.AssertedText(text)
    return [(asserted.at(start, start + 1), assertions.is_of_patient(text, start)) for start in starts]


_GENES: Final = ("CYP2D6", "CYP2C19", "DPYD", "HLA-B", "G6PD", "SLCO1B1")

_OF_A_GENE: Final[tuple[Callable[[str, str], Any], ...]] = (
    translation.translate,
    genotypes.genotype_of,
    translation.unified,
    words.without_gene,
    lambda gene, text: list(words.translate_hla(gene, text)) if gene.startswith("HLA-") else None,
)
_NOTE_DAY: Final = date(2026, 9, 17)
_NOTHING: Final = {"None", "False", "", "[]", "{}", "()"}


def _by_gene(text: str) -> Iterator[object]:
    for gene in words.genes_named([text]) or _GENES:
        yield gene, [reading for read in _OF_A_GENE if (reading := plain(read(gene, text))) not in (text, *_NOTHING)]


READERS: Final[dict[str, dict[str, Reader]]] = {
    "sig": {"sig": sig.read_sig, "instead": sig.said_instead,
            "change": lambda text: sig.said_instead(text, of_changes=True), "steps": sig_steps.steps_of,
            "days": lambda text: sig_frequency.named_days(sig_frequency.normalise_sig(text)),
            "english": sig_languages.in_english, "route": dosing.said_route,
            "local": lambda text: dosing.is_local_route(None, None, text)},
    "drug": {"drug": lambda text: identity.identify_concept(CodeableConcept(text=text)),
             "kind": medication_names.no_drug_kind, "strengths": medication_strength.read_strengths,
             "allergens": lambda text: allergens.read_allergens(text, ()), "media": contrast_media.contrast_classes},
    "problem": {"groups": phrases.groups_in_words, "assertions": _assertions,
                "problem": lambda text: _understood(text, "Condition", "code"), "code": condition_words.code_of_words,
                "smoking": conditions.smoking_answer_in_words,
                "end": lambda text: conditions.ends_pregnancy(None, None, text),
                "to": stays.destination_in_words},
    "gene": {"genes": _by_gene, "none": words.is_no_result, "spelled": words.spelled, "labels": words.without_labels,
             "presence": words.presence_of, "parts": words.parts_by_gene,
             "other": lambda text: words.is_of_another([text]), "advice": words.without_advice,
             "phenotype": translation.phenotype_named},
    "allergy": {"allergens": lambda text: allergens.read_allergens(text, ()), "denied": allergens.denies_allergies,
                "allergy": lambda text: _understood(text, "AllergyIntolerance", "code"),
                "media": contrast_media.contrast_classes},
    "study": {"loinc": study_words.loinc_of_words, "modality": study_words.modality_named,
              "artery": study_words.goes_into_an_artery,
              "contrast": lambda text: study_words.says_contrast(text, "", is_coded=False),
              "coded contrast": lambda text: study_words.says_contrast(text, text, is_coded=True),
              "uterus": study_words.exposes_uterus, "spine": study_words.is_of_lumbar_spine,
              "screening": study_words.screening_imaging_named, "groups": lambda text: screening_groups_of((), text),
              "no result": study_words.says_no_result, "analyte": analytes.analyte_of_name,
              "order": lambda text: _understood(text, "ServiceRequest", "code")},
    "vaccine": {"families": vaccines.families_of_words,
                "vaccine": lambda text: vaccines.families_of_words(text, is_vaccine=True),
                "given": lambda text: _understood(text, "Immunization", "vaccineCode")},
    "text": {"plain": datatypes.plain, "hidden": datatypes.without_hidden, "quoted": datatypes.quoted,
             "unit": units.normal_unit, "parts": units.unit_parts, "dose unit": dosing.dose_unit,
             "days": dosing.days_per_unit, "analyte": analytes.analyte_of_name},
    "note": {"note": lambda text: read_note(text.replace("\\n", "\n"), on=_NOTE_DAY)},
}  # fmt: skip


def line_of(group: str, text: str) -> str:
    """Return a text with everything that the readers of its group make of it."""
    readings = {name: plain(reader(text)) for name, reader in READERS[group].items()}
    shown = [f"{name}: {reading}" for name, reading in readings.items() if reading not in _NOTHING and reading != text]
    return f"{text}\t{'; '.join(shown)}".replace("\n", "\\n")


def file_of(group: str) -> Path:
    """Return the file with the texts of a group and their reviewed readings."""
    return FOLDER / f"{group}.txt"


def changes(group: str) -> Iterator[tuple[str, str]]:
    """Yield the reviewed line and the line of today for each text that is read otherwise."""
    for line in file_of(group).read_text(encoding="utf-8").splitlines():
        current = line_of(group, line.partition("\t")[0])
        if current != line:
            yield line, current


def main(write: bool) -> int:
    """Lists the texts that are read otherwise than reviewed, or writes how they are read now."""
    differ = 0
    for group in READERS:
        current = dict(changes(group))
        differ += len(current)
        print(*(f"{group}: {line}\n   now: {now}" for line, now in current.items()), sep="\n")
        if write:
            lines = file_of(group).read_text(encoding="utf-8").splitlines()
            file_of(group).write_text("\n".join([*(current.get(line, line) for line in lines), ""]), encoding="utf-8")
    return 0 if write or not differ else 1


if __name__ == "__main__":
    raise SystemExit(main("--write" in sys.argv))
