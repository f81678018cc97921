"""The files of publishers: each in its own form, what is read of it, and what is refused with its line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir.mapping.understanding import Understanding, understand
from fhir.terminology.imported import use_index
from fhir.terminology.importing import import_releases
from fhir.terminology.release_files import Imported
from fhir.terminology.rf2 import NotARelease

_CLAML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ClaML SYSTEM "ClaML.dtd">
<ClaML version="2.0.0"><Title name="ICD-10" version="2019" date="2019-01-01"/>
<Class code="IX" kind="chapter"><Rubric kind="preferred"><Label>Kreislauf</Label></Rubric></Class>
<Class code="I50-I52" kind="block"><Rubric kind="preferred"><Label>Jiné nemoci srdce</Label></Rubric></Class>
<Class code="I50.0" kind="category"><Rubric kind="inclusion"><Label>Dušnost</Label></Rubric>
<Rubric kind="preferred"><Label xml:lang="cs">Městnavé selhání
 srdce</Label></Rubric></Class></ClaML>"""
_TABULAR = """<?xml version="1.0"?><ICD10CM.tabular><chapter><section><diag><name>I50</name><desc>Heart failing</desc>
<diag><name>I50.1</name><desc>Left chamber failing badly</desc></diag></diag></section></chapter></ICD10CM.tabular>"""
_VTM = """<VIRTUAL_THERAPEUTIC_MOIETIES><VTM><VTMID>108979001</VTMID><NM>Metoprolol</NM></VTM>
</VIRTUAL_THERAPEUTIC_MOIETIES>"""
_VMP = """<VIRTUAL_MED_PRODUCTS><VMPS><VMP><VPID>999000001</VPID><VTMID>108979001</VTMID><NM>Betaheart 5 retard</NM>
</VMP></VMPS></VIRTUAL_MED_PRODUCTS>"""
_AMP = """<ACTUAL_MEDICINAL_PRODUCTS><AMPS><AMP><APID>999000002</APID>
<VPID>999000001</VPID><NM>Oxbeta 5</NM></AMP><AMP><APID>999000003</APID><NM>Of nothing</NM></AMP>
<AMP><VPID>999000001</VPID><NM>Without a code of its own</NM></AMP></AMPS>
</ACTUAL_MEDICINAL_PRODUCTS>"""
_GM = "".join(
    f"T;X;X;09;I30;{code};{code};{code};{title};{title};;;P;P;9-999;Kapl;1-1;2-2;3;J;J;J;J\n"
    for code, title in [("I50.-", "Herzmuskelnot"), ("U07.8", "Zehenpein"), ("I50-I52", "Herzleiden der Gruppe")]
)
_ORDER = f"00001 I5023   1 {'Acute on chronic systolic'.ljust(60)} Acute upon chronic systolic failing\n"
_CONSO = "".join(
    f"{code}|ENG||||||1|||x|{source}|{kind}|{code}|{name}||N|4096|\n"
    for code, source, kind, name in [
        ("9999901", "RXNORM", "SCD", "zzznew 5 MG Oral Tablet"),
        ("9999902", "RXNORM", "SBD", "Brandy 5 MG Tablet"),
        ("9999904", "RXNORM", "SCD", "metoprolol tartrate 7 MG Oral Tablet"),
        ("9999905", "GS", "BN", "metformin"),
        ("310965", "RXNORM", "SCD", "metformin 200 MG Oral Tablet"),
    ]
)
_REL = (
    "6918||CUI|RN|9999901||CUI|has_ingredient|1||RXNORM|RXNORM||||\n"
    "9999901||CUI|RN|9999902||CUI|tradename_of|2||RXNORM|RXNORM||||\n"
    "6809||CUI|RN|9999904||CUI|has_ingredient|3||RXNORM|RXNORM||||\n"
    "6809||CUI|RN|310965||CUI|has_ingredient|4||RXNORM|RXNORM||||\n"
    "6809||CUI|RN|9999906||CUI|has_ingredient|5||MTHSPL|MTHSPL||||\n"
    "6809|1|AUI|RN||2|AUI|has_ingredient|6||RXNORM|RXNORM||||\n"
)
_FILES = {
    "icdClaML20190101.xml": _CLAML,
    "icd10cm_tabular_2026.xml": _TABULAR,
    "icd10gm2026syst_kodes.txt": _GM,
    "icd10gm2026alpha_edvtxt_20251001.txt": "1|123|1|I50.9||||Müdes Herzleiden\n1|124|1|I50-I52||||Herzübel\n",
    "icd10cm_order_2026.txt": _ORDER,
    "icd102019syst_codes.txt": "4;T;X;09;I30;I50.0;I50.0;I500;Heart pump giving out;x;;;001;4-002;3-003;2-001;1-002\n",
    "ICD10AM_codes.csv": "code_id,ascii_desc,effective_from\nI500,Ticker going bung,2025\n",
    "f_vtm2_3010725.xml": _VTM,
    "f_vmp2_3010725.xml": _VMP,
    "f_amp2_3010725.xml": _AMP,
    "UNII_Records_1Jul2026.txt": "UNII\tDisplay Name\tRXCUI\n"
    "WK2XYI10QM\tRACEMATE\t5640\nR16CO5Y76E\tASPIRIN\t\nX\tWATER\t\n",
    "UNII_Records_1Jan2019.txt": "UNII\tPT\n9100L32L2N\tMETFORMIN\n",
    "cvx.txt": "999|rabies new|new strain|x|Active|1|False|2026/01/01\n"
    "099 |other strain|rabies vaccine, other strain|x|Active|1|False|2026/01/01\n"
    "08|rabies|rabies|x|Active|1|False|2026/01/01\n998|no vaccine|none administered|x|Active|1|False|2026/01/01\n",
    "RXNCONSO.RRF": _CONSO,
    "RXNREL.RRF": _REL,
    "RXNSAT.RRF": "9999902|||1|AUI|9999902|A||NDC|RXNORM|55555000101|N|4096|\n",
    "RXNCUI.RRF": "9999903|2010|2020|1|9999902|\n9999907|2010|2020|2|9999902|\n310965|2010|2020|1|6809|\n"
    "9999904|2010|2020|1|9999904|\n",
    "ours.csv": "system,code,name,group,drug,allergen,vaccine,analyte,not_read\n"
    "urn:ours,STATE,heart failure clinic,,,,,,yes\n",
    "definitions.csv": "kind,key,system,definition\ngroup,gout,icd10,U07.8-U07.9\nallergen,penicillin,atc,J99\n"
    "group,copd,rxnorm,6918\n",
    "atc.csv": "atc_code,atc_name\nJ99XX01,brandnewcillin\nC09AA99,newpril\n"
    "C09AA02,enalapril\nM99XX01,ibuprofen\nA10BA02,metformin\nX99XX01,water\n",
    "Loinc.csv": "LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP\n72166-2,Smoking,Find,Pt,Pt,Nom\n"
    "99999-3,Smoking,Find,Pt,Pt,Nom\n",
    "empty.csv": "",
    "noise.xml": "<Other/>",
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    folder = tmp_path_factory.mktemp("releases")
    for name, text in _FILES.items():
        (folder / name).write_text(text, "utf-8")
    imported = import_releases([folder], folder / "terms.idx", lambda *_: None)
    use_index(folder / "terms.idx")
    yield imported
    use_index(None)


@pytest.fixture
def not_read(imported: Imported) -> list[str]:
    return imported.not_read


def _problem(words: str) -> Understanding:
    return understand({"resourceType": "Condition", "code": {"text": words}})


@pytest.mark.parametrize(
    "words",
    ["Městnavé selhání srdce", "Left chamber failing badly", "Herzmuskelnot", "Müdes Herzleiden",
     "Heart pump giving out", "Ticker going bung",
     "acute upon chronic systolic failing"],
)  # fmt: skip
def test_a_title_of_icd_means_what_its_code_means(not_read: list[str], words: str) -> None:
    assert "hf" in _problem(words).groups


@pytest.mark.parametrize(
    ("system", "code", "drug"),
    [
        ("http://snomed.info/sct", "999000001", "metoprolol"),
        ("http://snomed.info/sct", "999000002", "metoprolol"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "9999901", "metoprolol"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "9999902", "metoprolol"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "9999903", "metoprolol"),
        ("http://hl7.org/fhir/sid/ndc", "55555-0001-01", "metoprolol"),
        ("http://fdasis.nlm.nih.gov", "WK2XYI10QM", "ibuprofen"),
    ],
)
def test_a_product_means_its_ingredient(not_read: list[str], system: str, code: str, drug: str) -> None:
    concept = {"coding": [{"system": system, "code": code}]}
    assert understand({"resourceType": "MedicationRequest", "medicationCodeableConcept": concept}).drugs == (drug,)


@pytest.mark.parametrize(("code", "drugs"), [("C09AA99", ()), ("C09AA02", ("enalapril",))])
def test_a_new_code_below_the_subtree_of_an_allergen_is_that_allergen(
    not_read: list[str], code: str, drugs: tuple[str, ...]
) -> None:
    concept = {"coding": [{"system": "http://www.whocc.no/atc", "code": code}]}
    read = understand({"resourceType": "AllergyIntolerance", "code": concept})
    assert "ace_inhibitor" in read.allergen_classes
    assert read.drugs == drugs


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("icd10cm_codes_2026.txt", "A000   Cholera\nno code here\n", "line 2: 'no code' is no code of ICD-10-CM"),
        ("RXNREL.RRF", "1|2\n", "line 1: 2 columns, not 16"),
        ("f_vtm.xml", "<VIRTUAL_THERAPEUTIC_MOIETIES>\n<VTM>\n</VTN>", "line 3: mismatched tag"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "line 1: entities are not read"),
        ("ours.csv", "code,group,not_read\n1,hf,yes\n", "line 2: it says what it means, and that it is not read"),
        ("defs.csv", "kind,key,system,definition\ngroup,hf,snomed,<< x\n", "line 2: at ' x' of '<< x'"),
        ("defs.csv", "kind,key,system,definition\ngroup,none,icd10,I50\n", "line 2: there is no group 'none'"),
    ],
)
def test_a_file_of_another_form_ends_the_import_with_its_line(tmp_path: Path, name: str, text: str, fault: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(NotARelease) as refused:
        import_releases([tmp_path / name], tmp_path / "terms.idx", lambda *_: None)
    assert fault in str(refused.value)
