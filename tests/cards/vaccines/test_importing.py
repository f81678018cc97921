"""A release of CDC's XML becomes knowledge files that the engine reads; nothing that decides is lost."""

import json
from datetime import date
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


_OTHER = """
<antigenSupportingData>
 <immunity><dateOfBirth><immunityBirthDate/></dateOfBirth>
  <dateOfBirth><immunityBirthDate>19800101</immunityBirthDate><birthCountry>U.S.</birthCountry></dateOfBirth></immunity>
 <contraindications><vaccineGroup><contraindication><observationCode/></contraindication>
  <contraindication><observationCode>009</observationCode><beginAge>1 year</beginAge><endAge>2 years</endAge>
  </contraindication></vaccineGroup></contraindications>
 <series><seriesName>A</seriesName><targetDisease>Other-Disease Two</targetDisease><vaccineGroup>B</vaccineGroup>
  <seriesType>Risk</seriesType><equivalentSeriesGroups>1, 2</equivalentSeriesGroups>
  <requiredGender>Male</requiredGender><requiredGender>Unknown</requiredGender><requiredGender/>
  <selectSeries><defaultSeries>No</defaultSeries><productPath>Yes</productPath><seriesGroup>2</seriesGroup>
   <seriesPriority>B</seriesPriority><seriesPreference>3</seriesPreference><minAgeToStart>9 years</minAgeToStart>
   <maxAgeToStart>n/a</maxAgeToStart></selectSeries>
  <indication><observationCode><code>014</code></observationCode><beginAge>2 years</beginAge><endAge>6 years</endAge>
  </indication>
  <seriesDose>
   <age><earliestRecAge>2 months</earliestRecAge><latestRecAge>3 months</latestRecAge><maxAge>8 months</maxAge>
    <effectiveDate/><cessationDate>20211231</cessationDate></age>
   <age><absMinAge/></age>
   <interval><fromPrevious>Y</fromPrevious><earliestRecInt>2 months</earliestRecInt>
    <latestRecInt>4 months</latestRecInt><intervalPriority/>
    <effectiveDate>20200101</effectiveDate><cessationDate>whenever</cessationDate></interval>
   <interval><fromPrevious>N</fromPrevious><fromMostRecent>03; 94</fromMostRecent><minInt>1 day</minInt></interval>
   <allowableInterval><fromRelevantObs><code>170</code></fromRelevantObs><absMinInt>5 days</absMinInt>
   </allowableInterval><allowableInterval><fromPrevious>n/a</fromPrevious></allowableInterval>
   <preferableVaccine><cvx>10</cvx><mvx>MSD</mvx><tradeName>Brand</tradeName>
    <forecastVaccineType>N</forecastVaccineType></preferableVaccine><preferableVaccine><cvx/></preferableVaccine>
   <allowableVaccine><cvx>11</cvx><endAge>5 years</endAge></allowableVaccine>
   <inadvertentVaccine><cvx/></inadvertentVaccine>
   <conditionalSkip><context/></conditionalSkip>
   <conditionalSkip><context>Forecast</context><setLogic>and</setLogic>
    <set><effectiveDate>20230911</effectiveDate><cessationDate>20240101</cessationDate><conditionLogic>or</conditionLogic>
     <condition><conditionType>Interval</conditionType><interval>6 months</interval></condition>
     <condition><conditionType>Completed Series</conditionType><seriesGroups>1;2</seriesGroups></condition>
     <condition><conditionType>Vaccine Count by Date</conditionType><startDate>20230101</startDate>
      <endDate>12/31/2023</endDate><doseCount>2</doseCount><doseType>Total</doseType>
      <doseCountLogic>Less Than</doseCountLogic></condition>
     <condition><conditionType>Age</conditionType><endAge>4 years</endAge></condition></set></conditionalSkip>
   <recurringDose/></seriesDose>
 </series>
</antigenSupportingData>
"""


def test_every_other_member_of_a_series_is_kept(tmp_path: Path) -> None:
    (tmp_path / "AntigenSupportingData- Other-508.xml").write_text(_OTHER)
    written = json.loads(_release(tmp_path)["other_disease_two.json"])
    assert written == {
        "antigen": "Other-Disease Two", "source": "an invented release", "version": "9.9", "date": "2030-01-02",
        "immune_observations": [], "immune_births": [{"born_before": "1980-01-01", "country": "U.S."}],
        "contraindications": [{"observation": "009", "begin_age": "1 year", "end_age": "2 years"}],
        "vaccine_contraindications": [],
        "series": [{"name": "A", "type": "Risk", "vaccine_group": "B", "genders": ["Male", "Unknown"], "group": "2",
                    "equivalent_groups": ["1", "2"], "product": True, "priority": "B", "preference": 3,
                    "min_age_to_start": "9 years",
                    "indications": [{"observation": "014", "begin_age": "2 years", "end_age": "6 years"}],
                    "doses": [{"ages": [{"earliest_recommended": "2 months", "latest_recommended": "3 months",
                                         "maximum": "8 months", "cessation": "2021-12-31"}],
                               "intervals": [{"from_previous": True, "earliest_recommended": "2 months",
                                              "latest_recommended": "4 months", "effective": "2020-01-01"},
                                             {"from_most_recent": ["03", "94"], "minimum": "1 day"}],
                               "allowable_intervals": [{"from_observation": "170", "absolute_minimum": "5 days"}],
                               "preferable": [{"cvx": ["10"], "manufacturer": "MSD", "trade_name": "Brand"}],
                               "allowable": [{"cvx": ["11"], "end_age": "5 years"}],
                               "skips": [{"context": "Forecast", "logic": "AND",
                                          "sets": [{"effective": "2023-09-11", "cessation": "2024-01-01", "logic": "OR",
                                                    "conditions": [{"kind": "interval", "interval": "6 months"},
                                                        {"kind": "completed series", "series_groups": ["1", "2"]},
                                                        {"kind": "vaccine count", "start": "2023-01-01",
                                                         "end": "2023-12-31", "count": 2, "count_logic": "less than"},
                                                        {"kind": "age", "end_age": "4 years"}]}]}]}]}],
    }  # fmt: skip


# Ages and intervals are added to dates as CDC's logic specification says (CALCDT-1 to CALCDT-6).


@for_rows(
    ("start", "period", "end"),
    [
        ("2000-01-01", "3 years", "2003-01-01"),
        ("2000-11-01", "6 months", "2001-05-01"),
        ("2000-02-01", "5 weeks", "2000-03-07"),
        ("2000-01-15", "- 4 days", "2000-01-11"),
        ("2000-03-31", "6 months", "2000-10-01"),
        ("2010-08-31", "6 months", "2011-03-01"),
        ("2000-01-31", "6 months - 4 days", "2000-07-27"),
        ("2000-02-29", "1 year", "2001-03-01"),
        ("2000-01-31", "16 years - 4 months", "2015-10-01"),
        ("2000-05-05", "0 days", "2000-05-05"),
    ],
)
def test_a_period_is_added_years_first_then_months_then_days(start: str, period: str, end: str) -> None:
    assert parse_period(period).after(date.fromisoformat(start)) == date.fromisoformat(end)


@for_rows("text", ["soon", "6", "6 moons", "six months", "6 months!"])
def test_what_is_not_a_period_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not an age or interval"):
        parse_period(text)
