"""What leaves a usual dose quiet (a form, a diagnosis, a weight, an interval) leaves ten times that dose speaking."""

import re
from datetime import datetime

from tests.cards.rules.cases import findings
from tests.cards.rules.drafted import outcome_of
from tests.each import for_each

_ROWS = """
haloperidol decanoate 100 mg/mL | {450} mg IM every 4 weeks | F20.9 Schizophrenia
haloperidol decanoate 100 mg/mL | {200} mg IM weekly x 3 | F20.9 Schizophrenia | 10
haloperidol 5 mg/mL | {5} mg IM once | F20.9 Schizophrenia | 10
haloperidol 5 mg/mL | {5} mg IM q4h PRN agitation | F20.9 Schizophrenia | 10
fluphenazine decanoate 25 mg/mL | {100} mg IM every 3 weeks | F20.9 Schizophrenia
paliperidone palmitate | {234} mg IM monthly | F20.9 Schizophrenia
paliperidone palmitate 234 mg/1.5 mL | {234} mg IM once | F20.9 Schizophrenia
Invega Trinza | {819} mg IM every 3 months | F20.9 Schizophrenia
Invega Hafyera | {1560} mg IM every 6 months | F20.9 Schizophrenia
Risperdal Consta | {50} mg IM every 2 weeks | F20.9 Schizophrenia
Perseris | {120} mg SC monthly | F20.9 Schizophrenia
Uzedy | {200} mg SC every 2 months | F20.9 Schizophrenia
Abilify Maintena | {400} mg IM monthly | F20.9 Schizophrenia
Abilify Asimtufii | {960} mg IM every 2 months | F20.9 Schizophrenia
Zyprexa Relprevv | {300} mg IM every 2 weeks | F20.9 Schizophrenia
Vivitrol | {380} mg IM every 4 weeks | F10.20 Alcohol dependence
medroxyprogesterone 150 mg/mL | {150} mg IM every 3 months |
medroxyprogesterone 150 mg/mL | {150} mg IM once |
Zoladex | {3.6} mg SC every 28 days | C61 Prostate cancer
Zoladex | {10.8} mg SC every 12 weeks | C61 Prostate cancer
Lupron Depot | {7.5} mg IM monthly | C61 Prostate cancer
Eligard | {45} mg SC every 6 months | C61 Prostate cancer
triptorelin | {3.75} mg IM every 4 weeks | C61 Prostate cancer
triptorelin | {22.5} mg IM every 24 weeks | C61 Prostate cancer
Firmagon | {240} mg SC once | C61 Prostate cancer
fulvestrant 50 mg/mL | {500} mg IM monthly | C50.911 Breast cancer
Abraxane | {260} mg/m2 IV every 3 weeks | C50.911 Breast cancer
paclitaxel 6 mg/mL | {175} mg/m2 IV every 3 weeks | C50.911 Breast cancer
opium tincture 10 mg/mL | {0.6} mL PO QID | K52.9 Diarrhea
midazolam 5 mg/mL | {10} mg IM once | G41.9 Status epilepticus
midazolam 5 mg/mL | {10} mg IV push once | G41.9 Status epilepticus
midazolam | {0.4} mg/kg/h IV continuous | G41.9 Status epilepticus | 10
ketamine | {2.55} mg/kg/h IV continuous | G41.9 Status epilepticus | 10
lorazepam 2 mg/mL | {4} mg IV once | G41.9 Status epilepticus
tenecteplase | {21} mg IV push once | I63.9 Ischemic stroke
tenecteplase | {45} mg IV push once | I21.3 STEMI
alteplase | {76} mg IV over 1 hour once | I63.9 Ischemic stroke
alteplase | {100} mg IV over 2 hours once | I26.99 Pulmonary embolism
morphine | {4.5} mg/h IV continuous | Z51.5 Palliative care | 10
cholecalciferol | {10000} units PO daily | K90.9 Malabsorption | 10
ergocalciferol | {50000} units PO daily | K90.9 Malabsorption
prednisone | {1000} mg PO daily | G35 Multiple sclerosis
cetirizine | {20} mg PO daily | L50.1 Urticaria
levocetirizine | {10} mg PO daily | L50.1 Urticaria
tadalafil | {40} mg PO daily | I27.0 Pulmonary hypertension
atenolol | {100} mg PO daily | I25.10 Coronary disease
amitriptyline | {150} mg PO nightly | F32.9 Depression
ferumoxytol | {510} mg IV once | D50.9 Anemia
bupivacaine 0.5% | {175} mg infiltration once |
bumetanide 0.25 mg/mL | {2} mg IV once | | 10
naloxone | {2} mg IV once | T40.2X1A Opioid poisoning | 10
hydroxyzine 50 mg/mL | {100} mg IM once |
chlordiazepoxide | {100} mg IM once | F10.231 Alcohol withdrawal
chlordiazepoxide 25 mg capsule | {50} mg PO q1h PRN CIWA >= 10 | F10.231 Alcohol withdrawal | 10
diazepam 10 mg tablet | {10} mg PO q1h PRN CIWA 10 or greater | F10.231 Alcohol withdrawal
lorazepam 1 mg tablet | {2} mg PO q1h PRN CIWA-Ar 8-15 | F10.231 Alcohol withdrawal | 10
levothyroxine vial | {500} mcg IV once | E03.5 Myxedema coma
levothyroxine vial | {100} mcg IV daily | E03.5 Myxedema coma | 10
esomeprazole | {80} mg IV once | K92.2 Bleeding | 10
ciprofloxacin | {400} mg IV q12h |
octreotide | {100} mcg SC TID | E22.0 Acromegaly | 10
Sandostatin LAR | {30} mg IM every 4 weeks | E22.0 Acromegaly
exenatide | {10} mcg SC BID | E11.9 Type 2 diabetes
Bydureon | {2} mg SC every 7 days | E11.9 Type 2 diabetes
furosemide 10 mg/mL | {80} mg IV once | I50.9 Heart failure | 10
phenytoin | {100} mg IV q8h | G40.909 Epilepsy | 10
methadone 10 mg/mL | {10} mg IV q8h |
voriconazole | {500} mg IV q12h |
amiodarone 50 mg/mL | {150} mg IV over 10 min once | I48.91 Atrial fibrillation | 10
potassium phosphate | {15} mmol IV once | | 10
budesonide-formoterol 160-4.5 | {4} puffs BID | J45.40 Asthma
fluticasone HFA 220 mcg | {4} puffs BID | J45.40 Asthma
Qvar 80 mcg | {4} puffs BID | J45.40 Asthma
Spiriva Respimat 2.5 mcg | {2} puffs daily | J44.9 COPD | 10
albuterol HFA 90 mcg | {2} puffs q4h PRN | J45.40 Asthma | 10
albuterol 2.5 mg/3 mL | {2.5} mg inhaled q4h | J45.40 Asthma
propofol | {125} mcg/kg/min IV, titrate to BIS 40-60 |
"""
"""Product, order with the dose of its label, diagnosis, and from how many times on it speaks (nothing: from three)."""


def _is_told(drug: str, sig: str, times: float, diagnosis: str, as_of: datetime) -> bool:
    words = re.sub(r"\{(.+)\}", lambda dose: f"{float(dose[1]) * times:.4f}".rstrip("0").rstrip("."), sig)
    code, _, name = diagnosis.partition(" ")
    labs = [["body_weight", 84.0, 3], ["body_height", 175.0, 3]]
    chart = {"labs": labs, "problems": [[code, name, 6]] if code else []}
    found = findings(outcome_of({"chart": chart, "draft": f"{drug} | {words}"}, as_of))
    return any(rule in ("dose-max", "dose-plausible") for rule, _, _ in found)


def _check(drug: str, sig: str, diagnosis: str, told_from: str, as_of: datetime) -> None:
    told = [times for times in (1, 3, 10) if _is_told(drug, sig, times, diagnosis, as_of)]
    assert told == [times for times in (3, 10) if times >= int(told_from or 3)]


def test_ten_times_a_dose_speaks_where_the_dose_itself_is_rightly_quiet(as_of: datetime) -> None:
    rows = [[part.strip() for part in f"{line} | | ".split("|")[:4]] for line in _ROWS.strip().splitlines()]
    for_each([(" | ".join(row), (*row, as_of)) for row in rows], _check)
