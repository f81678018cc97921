"""Orders as hospitals write them: steps, rates, units, other languages; what may be read in two ways is not read."""

from typing import Any

import pytest

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import identify
from tests.each import for_rows
from tests.fhir.builders import order
from tests.fhir.mapping.medications.doses import amount, dose_of, per_day

_WEIGHT_KG = 70.0


def _dose(drug: str, dosage: dict[str, Any] | str) -> DailyDose:
    draft = order(drug, {"text": dosage} if isinstance(dosage, str) else dosage)
    return daily_dose(draft, identify(draft), _WEIGHT_KG)


@for_rows(
    ("drug", "sig", "low", "high"),
    [
        ("prednisone 10 mg tablet", "40 mg daily x 3 days, then 20 mg daily x 3 days", 20, 40),
        ("prednisone 10 mg tablet", "60 mg x1 day, 50 mg x1 day, 40 mg x1 day", 40, 60),
        ("prednisone 5 mg tablet", "Day 1: 6 tabs, Day 2: 5 tabs, Day 3: 4 tabs", 20, 30),
        ("azithromycin 250 mg tablet", "Take 2 tablets on day 1, then 1 tablet daily on days 2-5", 250, 500),
        ("apixaban 5 mg tablet", "10 mg BID x 7 days, then 5 mg BID thereafter", 10, 20),
        (
            "metformin 500 mg tablet",
            "1 tablet daily for 7 days, 1 tablet twice daily for 7 days, 2 tablets daily",
            500,
            1000,
        ),
        ("sertraline 50 mg tablet", "1/2 tablet daily for 1 week, then increase to 1 tablet daily", 25, 50),
        ("warfarin 5 mg tablet", "5 mg daily except 7.5 mg on Mondays", 5, 7.5),
        ("warfarin 5 mg tablet", "1 tab (5 mg) Mon/Wed/Fri and 1/2 tab (2.5 mg) all other days", 2.5, 5),
        ("levothyroxine 100 mcg tablet", "1 tab daily Mon-Sat and 1.5 tabs on Sunday", 0.1, 0.15),
        ("warfarin 5 mg tablet", "alternate 5 mg and 7.5 mg every other day", 5, 7.5),
        ("vancomycin", "25 mg/kg IV once, then 15 mg/kg q12h", 2100, 2100),
        ("clopidogrel 75 mg tablet", "600 mg x1, then 75 mg daily", 75, 75),
        ("clopidogrel 75 mg tablet", "3000 mg x1, then 75 mg daily", 75, 3000),
        ("octreotide 500 mcg in 250 mL NaCl", "50 mcg IV bolus then 50 mcg/hr", 1.2, 1.2),
        ("norepinephrine 8 mg in dextrose 5 % 250 mL infusion", "0.05 mcg/kg/min IV continuous", 5.04, 5.04),
        ("diltiazem 125 mg/125 mL", "10 mL/hr", 240, 240),
        ("morphine 100 mg in NaCl 0.9 % 100 mL", "2 mL/hr IV infusion", 48, 48),
        ("piperacillin-tazobactam 3.375 g", "3.375 g IV q6h", 12000, 12000),
        ("amoxicillin suspension", "10 mL (250 mg/5 mL) PO TID", 1500, 1500),
        ("fluticasone 50 mcg/actuation nasal spray", "2 sprays in each nostril daily", 0.2, 0.2),
        ("metformin 500 mg tablet", "1 and 1/2 tabs daily", 750, 750),
        ("alprazolam 0.5 mg tablet", "take 1 0.5 mg tablet twice daily", 1, 1),
        ("metformin 500 mg tablet", "1 tab TIDAC", 1500, 1500),
        ("acetaminophen 500 mg tablet", "1 tablet as needed, max 3 times daily", 0, 1500),
        ("acetaminophen 500 mg tablet", "2 tabs q4h prn, max 2 tabs per dose", 0, 6000),
        ("acetaminophen 500 mg tablet", "1 tab q6 prn", 0, 2000),
        ("Metoprolol 47,5 mg Retardtablette", "1-0-1", 95, 95),
        ("Bisoprolol 5 mg", "½-0-½", 5, 5),
        ("Metformin 500 mg", "1 Tbl. 1-0-1", 1000, 1000),
        ("Metformin 500 mg", "1+1+1", 1500, 1500),
        ("Salbutamol 100 µg/Hub Dosieraerosol", "2 Hübe 4x tgl", 0.8, 0.8),
        ("Metformin 500 mg", "2x1 Tbl.", 1000, 1000),
        ("Enoxaparin 80 mg/0,8 ml", "0,8 ml s.c. 1-0-1", 160, 160),
        ("Enoxaparin 80 mg/0,8 ml", "1-0-1", 160, 160),
        ("Amoxicillin 250 mg/5 ml", "10 ml p.o. 1-1-1", 1500, 1500),
        ("Phenobarbital", "200 mg IV loading dose once", 200, 200),
        ("Metformin 500 mg", "1 tabletka 2 razy dziennie", 1000, 1000),
        ("Metformin 500 mg", "1 tabletti 2 kertaa päivässä", 1000, 1000),
        ("Ibuprofen 400 mg", "1 tabletti 8 tunnin välein", 1200, 1200),
        ("Amoxicillin", "50 mg/kg/Tag in 3 ED", 3500, 3500),
        ("Amoxicillin", "50 mg/kg/dia 8/8h", 3500, 3500),
        ("Amoxicillin", "3 x 15 mg/kg", 3150, 3150),
        ("Paracetamol", "15 mg/kg/6h", 4200, 4200),
        ("Paracetamol 250 mg", "3 dd 1 zetpil", 750, 750),
        ("Amoxicillin 250 mg/5 ml", "1 cucharadita de 5 ml cada 8 horas", 750, 750),
        ("Methotrexat 10 mg", "1 Tbl. 1x/Woche", 10 / 7, 10 / 7),
        ("Methotrexat 10 mg", "1 tabletka raz w tygodniu", 10 / 7, 10 / 7),
        ("Ibuprofen 600 mg", "bei Bedarf 1 Tablette, max. 3 x täglich", 0, 1800),
        ("ibuprofeno 600 mg", "1 comprimido cada 8 horas", 1800, 1800),
        ("Novalgin Tropfen", "4 x 40 Tropfen tgl", 4000, 4000),
        ("Novalgin", "30-30-30-30 Tropfen", 3000, 3000),
        ("tramadol gotas 100 mg/ml", "10 gotas cada 8 horas", 75, 75),
        ("Haldol 2 mg/ml gocce", "10 gtt 3 volte al giorno", 3, 3),
        ("Fluticasone HFA 220 mcg", "4 puffs twice daily", 1.76, 1.76),
        ("metformina 850 mg", "Tomar una tableta dos veces al día", 1700, 1700),
        ("metformine 500 mg", "1 comprimé et demi 3 fois par jour pendant les repas", 2250, 2250),
        ("paracétamol 1 g", "1 à 2 cp toutes les 6 heures si besoin, ne pas prendre plus de 4 par jour", 0, 4000),
        ("furosémide 40 mg", "1 cp matin et 1/2 cp midi", 60, 60),
        ("metformina 850 mg", "1 compressa mattina e sera", 1700, 1700),
        ("losartana 50 mg", "1 comprimido de 12/12h", 100, 100),
        ("metoprolol 50 mg", "2 x daags 1 tablet", 100, 100),
        ("enalapril 10 mg", "1 tablett 2 ganger daglig", 20, 20),
        ("ibuprofene 600 mg", "1 cp x 2/die", 1200, 1200),
        ("nifedipina 60 mg", "3 cp/die", 180, 180),
        ("amoxicillina 1 g", "1 cp x 2", 2000, 2000),
        ("ibuprofeno 400 mg", "1 comp 8/8h", 1200, 1200),
        ("ibuprofeno 600 mg", "1 comp. c/8 h", 1800, 1800),
        ("naproxen 500 mg", "2 dd 1", 1000, 1000),
        ("metformine 500 mg", "3 dd 2 tabletten", 3000, 3000),
        ("metformine", "2 dd 500 mg", 1000, 1000),
        ("cefazolin", "1 g i.v. alle 8 h", 3000, 3000),
        ("ceftriaxona", "1 g/12h", 2000, 2000),
        ("paracetamol 100 mg/ml", "5 ml/6h", 2000, 2000),
        ("Ibuprofen 4% Saft", "2,5 ml 3x tgl.", 300, 300),
        ("ibuprofeno 600 mg", "1 comprimido cada 8 horas si fiebre", 0, 1800),
        ("sertralina 50 mg", "1/2 comprimido por la mañana durante 7 días, después 1 comprimido", 25, 50),
        ("metformin 500 mg", "Take 1 tablet twice a day. Tome 1 tableta dos veces al día.", 1000, 1000),
        ("diltiazem 125 mg in dextrose 5% 125 mL", "10 mL/hr x 6 hours", 60, 60),
        ("furosemide 10 mg/mL", "20 mg/hr IV x 4 hrs BID", 160, 160),
        ("pantoprazole 80 mg in sodium chloride 100 mL", "8 mg/hr x 72 hours", 192, 192),
        ("norepinephrine 8 mg in NS 250 mL", "15 mL/h", 11.52, 11.52),
        ("warfarin 5 mg", "5 mg Tu/Th/Sat/Sun and 2.5 mg M/W/F", 2.5, 5),
        ("warfarin 2.5 mg", "2 tabs on even days, 1 tab on odd days", 2.5, 5),
        ("methotrexate 2.5 mg", "7.5 mg q12h x 3 doses once a week", 22.5 / 7, 22.5 / 7),
        ("rizatriptan 10 mg", "1 tab, may repeat in 2 hours, max 30 mg/24 hours", 0, 30),
        ("acetaminophen 500 mg", "1 tab q4h PRN fever, max 5 doses/day", 0, 2500),
        ("azelastine 137 mcg nasal spray", "1 spray per nostril twice daily", 0.548, 0.548),
        ("albuterol HFA 90 mcg", "2 puffs q6h", 0.72, 0.72),
        ("Paracetamol 250 mg suppositoires", "1 suppo x 4/j", 1000, 1000),
        ("methimazole 5 mg", "3 tablets daily divided TID", 15, 15),
        ("lisinopril 10 mg", "1 tab at 8 a.m. and 8 p.m.", 20, 20),
        ("levodopa 100 mg", "1 tab at 0800, 1200 and 1600", 300, 300),
        ("lévothyroxine 50 µg", "1 cp/jour à jeun", 0.05, 0.05),
        ("valproaat 500 mg", "2 dd 1 tablet", 1000, 1000),
        ("paroksetiini 20 mg", "1 tabletti kerran päivässä", 20, 20),
        ("kwas acetylosalicylowy 500 mg", "1 tabl. 3 x dziennie", 1500, 1500),
        ("celekoksib 200 mg", "1 kapsel 2 ganger daglig", 400, 400),
        ("kandesartan 16 mg", "1 tablett dagligen", 16, 16),
        ("sinvastatina 40 mg", "1 comprimido à noite", 40, 40),
        ("naproxen 500 mg", "2x daags 1", 1000, 1000),
        ("naproxen 500 mg", "tgl. 2 x 1", 1000, 1000),
        ("metformin 500 mg", "1 Tbl. 3x/Tag", 1500, 1500),
        ("metformin 500 mg", "3mal tgl. 1 Tbl.", 1500, 1500),
        ("metformin 500 mg", "morgens 1, mittags 1, abends 2", 2000, 2000),
        ("metformin 500 mg", "viermal täglich 1 Tablette", 2000, 2000),
        ("metformina 500 mg", "1 comprimido cuatro veces al día", 2000, 2000),
        ("metformina 500 mg", "1 cp x2/die", 1000, 1000),
        ("metformina 500 mg", "1 comprimido/8 horas", 1500, 1500),
        ("metformine 500 mg", "1 comprimé quatre fois par jour", 2000, 2000),
        ("metformine 500 mg", "2/j", 1000, 1000),
        ("metformin 500 mg", "1 tablett x 3", 1500, 1500),
        ("metformin 500 mg", "1 tablett hver 8. time", 1500, 1500),
        ("metformin 500 mg", "1 tablett var 6:e timme", 2000, 2000),
        ("metformin 500 mg", "1 depottablett 3 ggr dagl", 1500, 1500),
        ("metformin 500 mg", "1 tabletti kolme kertaa vuorokaudessa", 1500, 1500),
        ("metformin 500 mg", "2 tabletki trzy razy na dobę", 3000, 3000),
        ("metformin 500 mg", "po 1 tabletce co drugi dzień", 250, 250),
        ("paracetamol 500 mg", "bei Bedarf 1-2 Tbl., max. 8/Tag", 0, 4000),
        # A value of the laboratory is no amount.
        ("simvastatin 40 mg", "1 tablet daily, hold if glucose < 70 mg/dL", 40, 40),
        ("metoprolol 50 mg", "1 tablet twice daily, hold if K > 5.5 mEq/L", 100, 100),
    ],
)
def test_the_words_of_an_order_give_the_dose_of_a_day(drug: str, sig: str, low: float, high: float) -> None:
    dose = _dose(drug, sig)
    assert dose.problem is None
    assert [dose.per_day[0].low, dose.per_day[0].high] == pytest.approx([low, high])


@for_rows(
    ("drug", "dosage", "a_day"),
    [
        ("insulin NPH", "20 units qAM and 10 units qPM", 30),
        ("insulin NPH", "0.3 units/kg divided BID", 21),
        ("insulin degludec", "Inject 0.24 mL (24 units total) under the skin daily", 24),
        ("insulin regular 100 units in NS 100 mL", "5 mL/h for 8 hours", 40),
        ("nystatin 100,000 units/mL", "4 mL swish and swallow QID", 1600000),
        ("insulin aspart", "5 units with breakfast, 7 units with lunch, 9 units with dinner", 21),
        ("insulin lispro", "4 units AC breakfast, 6 units AC lunch, 8 units AC dinner", 18),
        ("Lantus", "10 U SC QHS", 10),
        ("Lantus", "twenty units at bedtime", 20),
        ("penicillin G potassium", "4 million units IV q4h", 24e6),
        ("penicillin G", "24 million units per day divided every 4 hours", 24e6),
        ("potassium chloride 20 MEQ Extended Release Oral Tablet", "2 tablets twice daily", 80),
        ("heparin", "1200 units/hour twice daily", 28800),
        ("heparin 25000 units in dextrose 5 % 250 mL infusion", "18 units/kg/hr IV continuous", 18 * 70 * 24),
        (
            "heparin 25000 units in dextrose 5 % 250 mL infusion",
            "80 units/kg IV bolus then 18 units/kg/hr",
            18 * 70 * 24,
        ),
        ("insulin regular 100 units/100 mL", {"doseAndRate": [{"rateQuantity": {"value": 5, "unit": "units/h"}}]}, 120),
        ("insulin lispro", amount(5, "units") | {"timing": {"repeat": {"when": ["AC"]}}}, 15),
        ("insulin lispro", amount(5, "units") | {"timing": {"repeat": {"when": ["AC", "HS"]}}}, 20),
        (
            "potassium chloride 10 mEq/100 mL",
            amount(10, "mEq") | {"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "h", "count": 4}}},
            40,
        ),
        ("potassium chloride 10 mEq/100 mL", "10 mEq IV over 1 hour x 4 doses", 40),
        ("potassium chloride 20 mEq tablet", "20 mEq q2h x 2", 40),
    ],
)
def test_units_and_milliequivalents_are_counted_for_a_day(
    drug: str, dosage: dict[str, Any] | str, a_day: float
) -> None:
    activity = _dose(drug, dosage).activity
    assert activity is not None
    assert activity.per_day == pytest.approx(a_day)


@for_rows(
    ("drug", "dosage"),
    [
        ("insulin lispro", "5 units with meals plus correction scale"),
        ("insulin lispro", "2-10 units before meals according to scale. Max 30 units per day"),
        ("morphine 1 mg/mL PCA", "PCA: 1 mg demand, lockout 10 min, no basal, 1 hr limit 6 mg"),
        ("prednisone 10 mg tablet", "1 tab daily on dialysis days"),
        ("prednisone 10 mg tablet", "taper by 10 mg every 3 days"),
        ("amiodarone 450 mg in D5W 250 mL", "1 mg/min x 6 hours, then 0.5 mg/min x 18 hours"),
        ("colchicine 0.6 mg tablet", "1.2 mg now, then 0.6 mg 1 hour later"),
        ("amoxicillin-clavulanate tablet", "1000 mg bid"),
        ("prednisone 10 mg tablet", "Take 4 tablets daily for 3 days then decrease by 1 tablet every 3 days"),
        ("metformin 500 mg tablet", "1 tablet in the morning for 7 days, 1 tablet in the evening for 7 days"),
        ("lisinopril 10 mg tablet", "Change from 10 mg daily to 20 mg daily"),
        ("oxycodone 5 mg tablet", "5 mg q4h prn moderate pain, 10 mg q4h prn severe pain"),
        ("metformin 1.000 mg", "1 tablet twice daily"),
        ("metformin 500 mg", "morgens 1, abends 2 Tabletten"),
        ("metformin 500 mg", "vingt-deux comprimés par jour"),
        ("metformin 500 mg", "1 comprimé par jour, 5 jours sur 7"),
        ("albuterol HFA 8.5 g inhaler", "2 puffs q6h"),
        ("tiotropium 18 mcg inhalation capsule", "2 inhalations daily"),
        ("Atosil Tropfen", "5 Tropfen abends"),
        ("tramadol 50 mg/ml Tropfen", "20 Tropfen 3x täglich"),
        ("Augmentin 625", "1-1-1"),
        (
            "lisinopril 10 mg tablet",
            amount(10) | {"timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}},
        ),
    ],
)
def test_what_may_be_meant_in_two_ways_or_depends_on_more_is_not_read(drug: str, dosage: dict[str, Any] | str) -> None:
    dose = _dose(drug, dosage)
    assert (dose.certainty, dose.per_day) == ("unknown", ())
    assert dose.problem is not None


def test_a_loading_dose_is_no_dose_of_every_day_and_is_not_rewritten() -> None:
    once = amount(300, "mg") | {"sequence": 1, "timing": {"code": {"text": "once"}}}
    daily = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}
    dose = dose_of("clopidogrel 75 mg tablet", once, amount(75, "mg") | {"sequence": 2, "timing": daily})
    assert (per_day(dose), dose.per_dose) == ([(75.0, 75.0)], ())


@for_rows(
    ("drug", "words"),
    [
        ("simvastatin", "nightly"),
        ("amoxicillin 400 mg/5 mL", "BID"),
        ("Lantus 100 units/mL", "nightly"),
        ("Enoxaparin 300 mg/3 mL vial", "SC q12h"),
        ("Zocor 40 mg", "as directed daily"),
        ("Zocor 40 mg", "daily for 3 days then 2 tablets"),
        ("Testosterone gel", "5 g daily"),
        ("Zocor 40 mg", "use as before"),
    ],
)
def test_how_often_alone_is_no_dose_where_one_of_the_product_is_not_known(drug: str, words: str) -> None:
    assert _dose(drug, words).per_day == ()
