"""A release of CDC's XML becomes knowledge files that the engine reads; nothing that decides is lost."""

from pathlib import Path

import pytest

from cards.vaccines.knowledge import parse_period
from maintenance.vaccines import import_release
from tests.each import for_rows

_ANTIGEN = """
<antigenSupportingData>
 <immunity>
  <clinicalHistory><guidelineCode>020</guidelineCode></clinicalHistory>
  <dateOfBirth><immunityBirthDate>01/01/1957</immunityBirthDate><birthCountry/>
   <exclusion><exclusionCode>055</exclusionCode></exclusion></dateOfBirth>
 </immunity>
 <contraindications>
  <vaccineGroup><contraindication><observationCode>007</observationCode>
   <contraindicationText>Do not vaccinate
    in pregnancy.</contraindicationText><beginAge/><endAge/></contraindication></vaccineGroup>
  <vaccine><contraindication><observationCode>104</observationCode><contraindicationText>Latex.</contraindicationText>
   <contraindicatedVaccine><cvx>94</cvx><beginAge/><endAge>12 years</endAge></contraindicatedVaccine>
  </contraindication></vaccine>
 </contraindications>
 <series>
  <seriesName>Invented 2-dose series</seriesName><targetDisease>Invented disease</targetDisease>
  <vaccineGroup>Invented </vaccineGroup><seriesType>Standard</seriesType>
  <equivalentSeriesGroups>2;3</equivalentSeriesGroups><requiredGender>Female</requiredGender>
  <selectSeries><defaultSeries>Yes</defaultSeries><productPath>No</productPath><seriesGroup>1</seriesGroup>
   <seriesPriority>A</seriesPriority><seriesPreference>n/a</seriesPreference><minAgeToStart/>
   <maxAgeToStart>15 years</maxAgeToStart></selectSeries>
  <indication/>
  <seriesDose><doseNumber>Dose 1</doseNumber>
   <age><absMinAge>12 months - 4 days</absMinAge><minAge>12 months</minAge><maxAge/>
    <effectiveDate>20200102</effectiveDate><cessationDate/></age>
   <interval/>
   <preferableVaccine><cvx>03</cvx><beginAge>12 months</beginAge><endAge/><forecastVaccineType>Y</forecastVaccineType>
   </preferableVaccine>
   <preferableVaccine><cvx>94</cvx><beginAge>12 months</beginAge><endAge/><forecastVaccineType>Y</forecastVaccineType>
   </preferableVaccine>
   <recurringDose>No</recurringDose></seriesDose>
  <seriesDose><doseNumber>Dose 2</doseNumber>
   <interval><fromPrevious>N</fromPrevious><fromTargetDose>1</fromTargetDose><fromMostRecent>n/a</fromMostRecent>
    <absMinInt>4 weeks - 4 days</absMinInt><minInt>4 weeks</minInt><intervalPriority>override</intervalPriority>
   </interval>
   <inadvertentVaccine><cvx>21</cvx></inadvertentVaccine>
   <conditionalSkip><context>Both</context><setLogic>OR</setLogic><set><effectiveDate/><cessationDate/>
    <conditionLogic>AND</conditionLogic><condition><conditionType>Vaccine Count by Age</conditionType>
    <beginAge>7 years</beginAge><doseCount>0</doseCount><doseType>Valid</doseType>
    <doseCountLogic>Greater Than</doseCountLogic><vaccineTypes>03; 94</vaccineTypes></condition></set></conditionalSkip>
   <recurringDose>Yes</recurringDose>
   <seasonalRecommendation><startDate>20250701</startDate><endDate>20260630</endDate></seasonalRecommendation>
  </seriesDose>
 </series>
</antigenSupportingData>
"""
_SCHEDULE = """
<scheduleSupportingData>
 <liveVirusConflicts>
  <liveVirusConflict><previous><cvx>03</cvx></previous><current><cvx>21</cvx></current>
   <conflictBeginInterval>1 day</conflictBeginInterval><minConflictEndInterval>28 days</minConflictEndInterval>
   <conflictEndInterval>28 days</conflictEndInterval></liveVirusConflict>
  <liveVirusConflict><previous><cvx>94</cvx></previous><current><cvx>21</cvx></current>
   <conflictBeginInterval>1 day</conflictBeginInterval><minConflictEndInterval>28 days</minConflictEndInterval>
   <conflictEndInterval>28 days</conflictEndInterval></liveVirusConflict>
 </liveVirusConflicts>
 <vaccineGroups><vaccineGroup><name>Invented</name><administerFullVaccineGroup>Yes</administerFullVaccineGroup>
 </vaccineGroup></vaccineGroups>
 <vaccineGroupToAntigenMap><vaccineGroupMap><name>Invented</name><antigen>Invented disease</antigen></vaccineGroupMap>
 </vaccineGroupToAntigenMap>
 <cvxToAntigenMap><cvxMap><cvx>03</cvx><shortDescription>MMR</shortDescription>
  <association><antigen>Invented disease</antigen><associationBeginAge/><associationEndAge>50 years</associationEndAge>
  </association></cvxMap></cvxToAntigenMap>
 <observations><observation><observationCode>007</observationCode><observationTitle>Pregnant</observationTitle>
  <codedValues><codedValue><code>77386006</code><codeSystem>SNOMED</codeSystem></codedValue></codedValues>
 </observation></observations>
</scheduleSupportingData>
"""


def _release(folder: Path) -> dict[str, str]:
    (folder / "AntigenSupportingData- Invented-508.xml").write_text(_ANTIGEN)
    (folder / "ScheduleSupportingData.xml").write_text(_SCHEDULE)
    return import_release(folder, "9.9", "2030-01-02", "an invented release")


_WHOLE_ANTIGEN = """{
 "antigen": "Invented disease",
 "source": "an invented release",
 "version": "9.9",
 "date": "2030-01-02",
 "immune_observations": [
  "020"
 ],
 "immune_births": [
  {"born_before": "1957-01-01", "unless": ["055"]}
 ],
 "contraindications": [
  {"observation": "007", "text": "Do not vaccinate in pregnancy."}
 ],
 "vaccine_contraindications": [
  {"observation": "104", "text": "Latex.", "vaccines": [{"cvx": ["94"], "end_age": "12 years"}]}
 ],
 "series": [
  {"name": "Invented 2-dose series", "type": "Standard", "vaccine_group": "Invented", "genders": ["Female"], \
"group": "1", "equivalent_groups": ["2", "3"], "default": true, "priority": "A", "max_age_to_start": "15 years", \
"doses": [
   {"ages": [{"absolute_minimum": "12 months - 4 days", "minimum": "12 months", "effective": "2020-01-02"}], \
"preferable": [{"cvx": ["03", "94"], "begin_age": "12 months", "forecast": true}]},
   {"intervals": [{"from_target_dose": 1, "absolute_minimum": "4 weeks - 4 days", "minimum": "4 weeks", \
"priority": true}], "inadvertent": ["21"], "skips": [{"context": "Both", "logic": "OR", "sets": [{"logic": "AND", \
"conditions": [{"kind": "vaccine count", "begin_age": "7 years", "count_logic": "greater than", "valid_only": true, \
"cvx": ["03", "94"]}]}]}], "recurring": true, "season_start": "2025-07-01", "season_end": "2026-06-30"}
  ]}
 ]
}
"""


def test_the_file_of_an_antigen_is_written_with_a_line_for_each_dose(tmp_path: Path) -> None:
    assert _release(tmp_path)["invented_disease.json"] == _WHOLE_ANTIGEN


def test_the_file_of_the_schedule_is_written_with_a_line_for_each_entry(tmp_path: Path) -> None:
    assert (
        _release(tmp_path)["schedule.json"]
        == """{
 "source": "an invented release",
 "version": "9.9",
 "date": "2030-01-02",
 "groups": {
  "Invented": {"antigens": ["Invented disease"], "full": true}
 },
 "vaccines": {
  "03": {"name": "MMR", "antigens": [{"antigen": "Invented disease", "end_age": "50 years"}]}
 },
 "conflicts": [
  {"previous": ["03", "94"], "current": ["21"], "begin": "1 day", "minimum_end": "28 days", "end": "28 days"}
 ],
 "observations": {
  "007": {"title": "Pregnant", "codes": {"SNOMED": ["77386006"]}}
 }
}
"""
    )


# Ages and intervals are added to dates as CDC's logic specification says (CALCDT-1 to CALCDT-6).


@for_rows("text", ["soon", "6", "6 moons", "six months", "6 months!"])
def test_what_is_not_a_period_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not an age or interval"):
        parse_period(text)
