"""A hospital's own releases: what descends from our codes, parts of LOINC, names of RxNorm, and a table of the site."""

import csv
import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.understanding import Understanding, understand
from fhir.record import measurement
from fhir.terminology.analytes import ANALYTE_BY_CODE
from fhir.terminology.definitions import own_definitions
from fhir.terminology.imported import LONGEST_NAME, in_use, use_index
from fhir.terminology.importing import growth_of_groups, import_releases, snomed_roots
from fhir.terminology.rf2 import NotARelease

SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"
_HEART_FAILURE, _IBUPROFEN, _IS_A, _AGENT = "84114007", "387207008", "116680003", "246075003"
_IN_OUR_TABLE = "42343007"
_CONCEPTS = [_HEART_FAILURE, _IBUPROFEN, "900001", "900002", "900003", "900005", "900006", "900008"]
_RELATIONS = [
    ("900001", _HEART_FAILURE, _IS_A),
    ("900002", "900001", _IS_A),
    ("900003", _IBUPROFEN, _AGENT),
    ("900006", _IBUPROFEN, "127489000"),
    ("900007", _IBUPROFEN, _AGENT),  # 900007 is not in the release
    ("900008", _HEART_FAILURE, _IS_A),
]
_NAMES = [
    ("900002", "sv", "Blekinges hjärtsvikt"),
    ("900002", "en", "Blekinge heart failing (disorder)"),
    ("900001", "en", "AB"),
    ("900001", "en", "Blekinge gout"),
    ("900001", "en", "Twofold sickness"),
    ("900005", "en", "Twofold sickness"),
    ("900007", "en", "Blekinge heart failing"),
    ("900008", "en", "Blekinge failing without gout"),
]


def _file(columns: str, rows: list[list[str]], end: str = "\r\n") -> str:
    return "".join("\t".join(cells) + end for cells in (columns.split(), *rows))


def rf2(
    folder: Path,
    codes: Sequence[str] = _CONCEPTS,
    relations: Sequence[tuple[str, str, str]] = _RELATIONS,
    terms: Sequence[tuple[str, str, str]] = _NAMES,
) -> Path:
    """A release with columns and names of files as SNOMED International makes them."""
    archive = folder / "SnomedCT_InternationalRF2_PRODUCTION_20260701T120000Z.zip"
    concepts = [[code, "20260701", "1", "m", "d"] for code in codes]
    concepts.append(["900004", "20260701", "0", "m", "d"])
    relationships = [
        [str(n), "20260701", "1", "m", a, b, "0", kind, "c", "s"] for n, (a, b, kind) in enumerate(relations)
    ]
    names = [[str(n), "20260701", "1", "m", code, lang, "t", term, "c"] for n, (code, lang, term) in enumerate(terms)]
    pairs = [("900004", "900002"), ("900001", "900003"), (_IN_OUR_TABLE, "900002")]
    replaced = [["u", "20260701", "1", "m", "900000000000526001", old, new] for old, new in pairs]
    columns = "id effectiveTime active moduleId"
    with zipfile.ZipFile(archive, "w") as content:
        start = "SnomedCT/Snapshot/Terminology/sct2_"
        content.writestr(f"{start}Concept_Snapshot_INT_20260701.txt", _file(f"{columns} definitionStatusId", concepts))
        more = "sourceId destinationId relationshipGroup typeId characteristicTypeId modifierId"
        content.writestr(f"{start}Relationship_Snapshot_INT_20260701.txt", _file(f"{columns} {more}", relationships))
        more = "conceptId languageCode typeId term caseSignificanceId"
        content.writestr(f"{start}Description_Snapshot-en_INT_20260701.txt", _file(f"{columns} {more}", names))
        name = "SnomedCT/Snapshot/Refset/Content/der2_cRefset_AssociationSnapshot_INT_20260701.txt"
        content.writestr(name, _file(f"{columns} refsetId referencedComponentId targetComponentId", replaced))
    return archive


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the releases, with the index that is made of them."""
    folder = tmp_path_factory.mktemp("releases")
    loinc = folder / "Loinc.csv"
    loinc.write_text(
        "LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP,METHOD_TYP\n"
        "2823-3,Potassium,SCnc,Pt,Ser/Plas,Qn,\n88888-8,Potassium,SCnc,Pt,Ser/Plas,Qn,Electrode\n"
        "88889-6,Potassium,SCnc,Pt,Urine,Qn,\n88887-0,Potassium,SCnc,Pt,BldV,Qn,\n"
    )
    names = folder / "RXNCONSO.RRF"
    names.write_text("9999999|ENG||||||1|||x|RXNORM|SCD|9999999|metformin 750 MG Oral Tablet||N|4096|\n")
    table = folder / "ours.csv"
    table.write_text(
        "system,code,name,group,drug,allergen,analyte,not_read\nurn:ours,HI,,hf,,,,\nurn:ours,K1,,,,,potassium,\n"
        f"{SNOMED},900006,,,metformin,,,\n,,Blekinge sickness,gout,,,,\n,,{'x' * LONGEST_NAME},gout,,,,\n"
        f",,{'x' * (LONGEST_NAME + 1)},gout,,,,\n"
        "urn:ours,IB,Ourofen forte,,ibuprofen,,,\nurn:ours,PEN,,,,penicillin,,\n"
        "urn:ours,KIT,Penicillin test kit,,,,,yes\n"
    )
    path = folder / "terms.idx"
    titles = folder / "icd10cm_codes_2026.txt"
    titles.write_text("M109   Blekinge heart failing\n")
    import_releases([rf2(folder), loinc, names, table, titles], path, print)
    return path


@pytest.fixture
def index(releases: Path) -> Iterator[Path]:
    """The index in use."""
    tables: list[dict[str, Any]] = [ANALYTE_BY_CODE, measurement.NUMBER_BY_LOINC, measurement.KEY_BY_LOINC]
    before = [dict(table) for table in tables]
    use_index(releases)
    measurement.read_imported_codes()
    yield releases
    use_index(None)
    for codes, rows in zip(tables, before, strict=True):
        codes.clear()
        codes.update(rows)


def _read(kind: str, element: str, system: str, code: str, **more: Any) -> Understanding:
    coding = {"coding": [{"system": system, "code": code}]}
    return understand({"resourceType": kind, "status": "final", element: coding, **more})


@pytest.mark.parametrize("code", ["900001", "900002", "900004"])
def test_what_descends_from_a_code_of_ours_or_was_replaced_means_the_same(index: Path, code: str) -> None:
    assert "hf" in _read("Condition", "code", SNOMED, code).groups
    assert _read("Condition", "code", SNOMED, "900005").understood is False


def test_a_finding_is_an_allergy_to_its_agent_and_a_product_has_its_ingredient(index: Path, tmp_path: Path) -> None:
    assert _read("AllergyIntolerance", "code", SNOMED, "900003").drugs == ("ibuprofen",)
    assert _read("Condition", "code", SNOMED, "900003").drugs == ("ibuprofen",)
    assert _read("MedicationRequest", "medicationCodeableConcept", SNOMED, "900006").drugs == ("metformin",)
    imported = import_releases([rf2(tmp_path)], tmp_path / "terms.idx", lambda *_: None)
    assert imported.codes["snomed", "900006"].ingredients == ("5640",)  # what the site says instead goes before
    assert {code for _, code in imported.codes if code.startswith("9000")} == {
        "900001", "900002", "900003", "900004", "900006", "900008",
    }  # fmt: skip


def test_definitions_hold_what_a_real_hierarchy_has_below_their_roots(tmp_path: Path) -> None:
    """A small release as a free set is: 267 concepts, their hierarchy and names, by the Disease Ontology.

    Human Disease Ontology, reports of classes and cross-references of 2018-06-14, CC0 1.0: subtrees of 23 groups.
    """
    with (Path(__file__).parent / "hierarchy.csv").open(encoding="utf-8", newline="") as lines:
        concepts = list(csv.DictReader(lines))
    above = {row["code"]: frozenset(filter(None, row["above"].split(";"))) for row in concepts}
    relations = [(code, parent, _IS_A) for code, parents in above.items() for parent in sorted(parents)]
    terms = [(row["code"], "en", f"{row['name']} (disorder)") for row in concepts]
    imported = import_releases([rf2(tmp_path, list(above), relations, terms)], tmp_path / "free.idx", print)
    tables = snomed_roots()
    lists, in_none = tables.by_kind["group"], tables.in_none

    def ancestors(code: str) -> frozenset[str]:
        return above[code].union(*map(ancestors, above[code]))

    held = missed = 0
    for definition in own_definitions():
        wanted = definition.roots if definition.kind == "group" else ()
        for code in above if wanted else ():
            between = {code} | ancestors(code)
            if code in lists[definition.key] or between & in_none or not between & definition.roots:
                continue
            held += 1
            missed += definition.key not in imported.codes["snomed", code].groups
    assert (held >= 60, missed) == (True, 0), held
    use_index(tmp_path / "free.idx")
    try:
        unread = [
            row["name"]
            for row in concepts
            if not understand({"resourceType": "Condition", "code": {"text": row["name"]}}).groups
        ]
    finally:
        use_index(None)
    assert len(unread) <= 0.02 * len(concepts), unread


def test_a_name_that_a_concept_of_no_group_has_as_well_means_none(index: Path) -> None:
    assert understand({"resourceType": "Condition", "code": {"text": "Twofold sickness"}}).groups == ()


def test_codes_of_the_site_mean_what_its_table_says(index: Path) -> None:
    value = {"valueQuantity": {"value": 6.1, "unit": "mmol/L"}}
    assert "hf" in _read("Condition", "code", "urn:ours", "HI").groups
    assert _read("Observation", "code", "urn:ours", "K1", **value).analyte == "potassium"
    both = {"coding": [{"system": "urn:ours", "code": code} for code in ("HI", "K1")]}
    assert understand({"resourceType": "Observation", "status": "final", "code": both, **value}).analyte == "potassium"
    assert _read("MedicationRequest", "medicationCodeableConcept", "urn:ours", "IB").drugs == ("ibuprofen",)
    assert "penicillin" in _read("AllergyIntolerance", "code", "urn:ours", "PEN").allergen_classes
    brand = {"text": "Ourofen forte"}
    assert understand({"resourceType": "AllergyIntolerance", "code": brand}).drugs == ("ibuprofen",)
    assert understand({"resourceType": "MedicationRequest", "medicationCodeableConcept": brand}).drugs == ("ibuprofen",)


def test_the_index_names_its_sources_and_is_the_same_each_time(index: Path, tmp_path: Path) -> None:
    assert {source.publisher for source in in_use().sources} >= {"SNOMED International", "this site"}
    words = in_use().words
    assert words["SNOMED International sct2_Concept_Snapshot_INT_20260701.txt"] == "20260701"
    assert words["this site ours.csv"] == hashlib.sha256((index.parent / "ours.csv").read_bytes()).hexdigest()[:16]
    files = [rf2(tmp_path), *(index.parent / name for name in ("Loinc.csv", "RXNCONSO.RRF", "ours.csv"))]
    again = tmp_path / "again.idx"
    imported = import_releases(files, again, print)
    assert growth_of_groups(imported)["hf"] == 4
    assert again.stat().st_mode & 0o222 == 0
    use_index(None)
    assert not _read("Condition", "code", SNOMED, "900001").understood


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("Loinc.csv", "LOINC_NUM,COMPONENT\n1-8,x\n", "Loinc.csv, line 1: the column PROPERTY is missing"),
        ("Loinc.csv", "", "Loinc.csv, line 1: the column COMPONENT is missing"),
        ("RXNCONSO.RRF", "1|ENG\n", "RXNCONSO.RRF, line 1: 2 columns, not 18"),
        ("ours.csv", "system,code,group\nurn:x,1,nothing\n", "ours.csv, line 2: there is no group 'nothing'"),
        ("ours.csv", "system,code,group\nurn:x,1,\n", "ours.csv, line 2: none of"),
        ("ours.csv", "system,code,group\nurn:x,1,no gout\n", "ours.csv, line 2: there is no group 'no gout'"),
        ("ours.csv", "system,code,group\nurn:x,1,mother: asthma\n", "there is no group 'mother: asthma'"),
        ("ours.csv", "system,code,not_read\nurn:x,1,ja\n", "ours.csv, line 2: not_read is 'ja': write yes"),
        ("ours.csv", "system,code,analyte\nurn:x,1,Urea\n", "there is no analyte 'Urea'; near are bun"),
        ("release.zip", "PK", "release.zip is not a whole archive"),
        ("ours.csv", "system,code,group\n" + "urn:x,1,\n" * 20, r"ours.csv, line 21: none of[^\n]*\Z"),
        ("ours.csv", "system,group\nurn:x,hf\n", "ours.csv, line 2: neither a code nor a name"),
        (
            "sct2_Concept_Snapshot_INT.txt",
            "id\tdefinitionStatusId\n",
            "sct2_Concept_Snapshot_INT.txt, line 1: the column",
        ),
        (
            "sct2_Concept_Snapshot_INT.txt",
            "id\teffectiveTime\tactive\n1\t2\n",
            "sct2_Concept_Snapshot_INT.txt, line 2: 2 columns, not 3",
        ),
        ("sct2_Concept_Snapshot_INT.txt", "id\teffectiveTime\tactive\n1\t2\t1\n", "concepts and relationships"),
        (
            "sct2_Relationship_Snapshot_INT.txt",
            f"id\teffectiveTime\tactive\tmoduleId\tsourceId\tdestinationId\tg\ttypeId\n1\t2\t1\tm\t9\t8\t0\t{_IS_A}\n",
            "concepts and relationships",
        ),
        ("other.csv", "a,b\n", "neither a release"),
        ("RXNCONSO.RRF", "1|" * 500_000, "neither a release"),
        ("RXNCONSO.RRF", "1|" * 500_001, "RXNCONSO.RRF, line 1: it is longer than 1,000,000 characters"),
        (
            "ours.csv",
            "system,code,group\n" + "x" * 1_000_001,
            "ours.csv, line 2: it is longer than 1,000,000 characters",
        ),
        ("ours.csv", "system,code,group\n" + "x" * 200_000, "ours.csv, line 2: field larger than field limit"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(NotARelease, match=fault.replace("(", r"\(")):
        import_releases([tmp_path / name], tmp_path / "terms.idx", print)
    assert not (tmp_path / "terms.idx").exists()


def test_an_index_in_use_is_read_on_when_its_file_is_shortened_in_place(index: Path) -> None:
    """`cp` over the file of a running server does that; a mapped file would end the process."""
    content = index.read_bytes()
    index.chmod(0o644)
    index.write_bytes(content[:100])
    try:
        assert "hf" in _read("Condition", "code", SNOMED, "900002").groups
    finally:
        index.write_bytes(content)
