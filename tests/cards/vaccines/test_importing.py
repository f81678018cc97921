"""A release of CDC's XML becomes knowledge files that the engine reads; nothing that decides is lost."""

from datetime import date
from pathlib import Path

from cards.vaccines.importing import import_release
from cards.vaccines.knowledge import Antigen, Schedule, decode

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


def test_a_series_keeps_its_ages_intervals_vaccines_and_skips(tmp_path: Path) -> None:
    antigen = decode(_release(tmp_path)["invented_disease.json"].encode(), Antigen)
    (series,) = antigen.series
    first, second = series.doses
    assert (antigen.version, antigen.date, antigen.source) == ("9.9", date(2030, 1, 2), "an invented release")
    assert (series.vaccine_group, series.default, series.preference) == ("Invented", True, 99)
    assert series.equivalent_groups == {"2", "3"}
    (ages,) = first.ages
    assert ages.effective == date(2020, 1, 2)
    assert ages.absolute_minimum is not None
    assert ages.absolute_minimum.after(date(2020, 1, 1)) == date(2020, 12, 28)
    assert [entry.cvx for entry in first.preferable] == [("03", "94")]
    assert not first.intervals
    (interval,) = second.intervals
    assert (interval.from_target_dose, interval.priority, interval.from_previous) == (1, True, False)
    assert second.inadvertent == {"21"}
    assert (second.recurring, second.season_end) == (True, date(2026, 6, 30))
    ((condition,),) = (each.conditions for each in second.skips[0].sets)
    assert (condition.kind, condition.count, condition.count_logic) == ("vaccine count", 0, "greater than")
    assert (condition.valid_only, condition.cvx) == (True, frozenset({"03", "94"}))


def test_immunity_and_contraindications_keep_their_observations(tmp_path: Path) -> None:
    antigen = decode(_release(tmp_path)["invented_disease.json"].encode(), Antigen)
    assert antigen.immune_observations == {"020"}
    assert antigen.immune_births[0].born_before == date(1957, 1, 1)
    assert antigen.immune_births[0].unless == {"055"}
    assert antigen.contraindications[0].text == "Do not vaccinate in pregnancy."
    assert antigen.vaccine_contraindications[0].vaccines[0].cvx == ("94",)


def test_vaccines_that_conflict_alike_stand_in_one_entry(tmp_path: Path) -> None:
    schedule = decode(_release(tmp_path)["schedule.json"].encode(), Schedule)
    (conflict,) = schedule.conflicts
    assert (conflict.previous, conflict.current) == (frozenset({"03", "94"}), frozenset({"21"}))
    assert schedule.groups["Invented"].full
    assert schedule.observations["007"].codes == {"SNOMED": ("77386006",)}
    assert schedule.vaccines["03"].antigens[0].end_age is not None
