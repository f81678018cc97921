"""Charts drawn by chance from words, codes and days near the limits: the same in every run, by their number.

Nobody would write them: half of what a chart can get wrong is in them. tests/cards/drawn.py reads them.
"""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.conftest import ROOT

Json = dict[str, Any]
AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
_POOLS: Final = json.loads((ROOT / "tests/cases/drawn/pools.json").read_text(encoding="utf-8"))
_SNOMED, _LOINC, _CVX = "http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/cvx"
_DAYS: Final = (
    0, 0.3, 1, 2, 3, 6, 7, 8, 13, 14, 15, 21, 27, 28, 29, 30, 31, 45, 59, 60, 61, 89, 90, 91, 120, 167, 179, 180, 181,
    182, 183, 270, 280, 300, 330, 364, 365, 366, 400, 700, 729, 730, 731, 1095, 1096, 1825, 1826, 3650, 3653, -1, -20,
)  # fmt: skip
_AGES: Final = (0, 1, 4, 11, 15, 17, 18, 20, 21, 24, 25, 29, 30, 35, 39, 40, 44, 45, 49, 50, 52, 54, 55, 59, 60, 64, 65,
                69, 70, 74, 75, 76, 79, 80, 84, 85, 91)  # fmt: skip
_SMOKING: Final = ("449868002", "8517006", "266919005", "428041000124106", "266927001", "77176002")
_VACCINES: Final = ("03", "08", "10", "20", "21", "33", "43", "45", "49", "62", "88", "94", "110", "114", "115",
             "116", "121", "133", "140", "150", "152", "165", "185", "187", "207", "216", "220", "300")  # fmt: skip
_PROCEDURES: Final = (
    "Colonoscopy", "Hysterectomy", "Total abdominal hysterectomy", "Mammography", "Bilateral mastectomy", "Splenectomy",
    "Pap smear", "Hemodialysis", "Kidney transplant", "Tubal ligation", "Mechanical aortic valve replacement", "PCI",
    "Insertion of pacemaker", "Low dose CT chest", "DXA bone density", "FIT test", "Vasectomy", "Delivery", "HPV test",
    "Bariatric surgery", "Colectomy, total", "Left mastectomy", "Insertion of IUD", "CABG", "Hip replacement",
)  # fmt: skip
_WORDS: Final = ("Negative", "Positive", "Not detected", "Detected", "Normal", "Abnormal", "cancelled", "refused",
                 "Pregnant", "Not pregnant", "10 weeks", "Unsatisfactory", "ASC-US", "Reactive")  # fmt: skip
_TESTS: Final = ("82810-3", "2106-3", "2118-8", "19080-1", "11778-8", "11779-6", "18185-9", "49051-6", "57021-8",
                 "14563-1", "21440-3", "10524-7", "13955-0", "56888-1", "38265-5", "24606-6", "8664-5", "63773-6",
                 "72166-2", "54899-0", "29771-3", "1558-6", "4548-4", "8665-2", "50373-0", "79191-3")  # fmt: skip


class Draw:
    """One chart drawn by its number."""

    def __init__(self, number: int) -> None:
        self._chance = random.Random(f"chart {number}")
        self._count = 0

    def one(self, choices: Any) -> Any:
        """Return one of the choices."""
        return self._chance.choice(choices)

    def maybe(self, share: float, **members: Any) -> Json:
        """Return the members that are not None, in so many cases of 1; else nothing."""
        kept = {name: value for name, value in members.items() if value is not None}
        return kept if self._chance.random() < share else {}

    def when(self) -> str:
        """Return a time near one of the limits, as exact as charts are."""
        time = AS_OF - timedelta(days=self.one(_DAYS), minutes=self.one((-1, 0, 0, 1, 300)))
        return str(self.one((
            time.isoformat().replace("+00:00", "Z"), time.date().isoformat(), time.isoformat(), time.date().isoformat(),
            f"{time:%Y-%m-%dT%H:%M:%S}-05:00", f"{time:%Y-%m}", f"{time:%Y}",
        )))  # fmt: skip

    def period(self) -> Json:
        """Return a period that may be open or the wrong way round."""
        return self.maybe(0.95, start=self.when()) | self.maybe(0.7, end=self.when())

    def base(self, kind: str, **more: Any) -> Json:
        """Return a resource of the patient; one in forty is of somebody else."""
        self._count += 1
        subject = "patient" if kind in ("AllergyIntolerance", "Immunization", "FamilyMemberHistory") else "subject"
        owner = self.one(("p1",) * 39 + ("p2",))
        return {"resourceType": kind, "id": f"r{self._count}", subject: {"reference": f"Patient/{owner}"}} | more

    def patient(self) -> Json:
        """Return the patient: an age near a limit, any sex, a birth date as exact as it came."""
        born = AS_OF.replace(year=AS_OF.year - self.one(_AGES)) + timedelta(days=self.one((-200, -1, 0, 0, 1, 90)))
        day = self.one((f"{born:%Y-%m-%d}",) * 9 + (f"{born:%Y-%m}", f"{born:%Y}", None))
        return {"resourceType": "Patient", "id": "p1", **self.maybe(1, birthDate=day),
                **self.maybe(0.95, gender=self.one(("female", "male", "female", "male", "other")))}  # fmt: skip

    def core(self) -> Json:
        """Return a measured value of the tests that most estimates need."""
        return self.observation([row for row in _POOLS["analytes"] if row[0] in _CORE])

    def observation(self, pool: Any = _POOLS["analytes"]) -> Json:
        """Return a measured value near the borders of what is plausible, or between."""
        _, codes, units, low, high = self.one(pool)
        value = self.one((low, high, low * 0.9, high * 1.1, low + (high - low) * self._chance.random() ** 3))
        value = round(low + (high - low) * self._chance.random() ** 2, 2) if self.one((1, 1, 1, 0)) else value
        quantity = {"value": value, "unit": self.one(units[:1] * 3 + units)}
        quantity |= self.maybe(0.05, comparator=self.one(("<", ">", "<=", ">=")))
        code = {"coding": [{"system": _LOINC, "code": self.one(codes)}]}
        return self.base("Observation", code=code, valueQuantity=quantity, **self._result())

    def _result(self) -> Json:
        flag = [{"coding": [{"code": self.one(("H", "L", "N", "POS", "NEG", "A"))}]}]
        status = self.one(("final",) * 8 + ("amended", "preliminary", "entered-in-error", "cancelled"))
        return {"status": status, **self.maybe(0.97, effectiveDateTime=self.when()), **self.maybe(0.1,
                interpretation=flag), **self.maybe(0.04, note=[{"text": "Specimen haemolysed"}])}  # fmt: skip

    def answer(self) -> Json:
        """Return a test whose result is a word: smoking, pregnancy, screening."""
        code = self.one(_TESTS)
        value: Json = self.one((
            {"valueCodeableConcept": {"text": self.one(_WORDS)}}, {"valueString": self.one(_WORDS)},
            {"valueQuantity": {"value": self.one((0, 4, 5, 12, 20, 25, 30, 41)), "unit": self.one(("wk", "mIU/mL"))}},
            {"valueDateTime": self.when()}, {"valueBoolean": self.one((True, False))},
        ))  # fmt: skip
        return self._answered(code, value)

    def smoking(self) -> Json:
        """Return an answer about tobacco: the status, the pack-years or the day of stopping."""
        years = {"value": self.one((5, 19, 20, 21, 30)), "unit": "{PackYears}"}
        answers: Any = (("72166-2", {}), ("72166-2", {}), ("8664-5", {"valueQuantity": years}),
                        ("74010-0", {"valueDateTime": self.when()}))  # fmt: skip
        return self._answered(*self.one(answers))

    def pregnancy(self) -> Json:
        """Return a sign for or against a pregnancy: a status, a day of birth expected, weeks, a test."""
        weeks = {"value": self.one((3, 10, 13, 14, 20, 27, 28, 36, 42, 43)), "unit": "wk", "code": "wk"}
        hcg = {"value": self.one((0, 4.9, 5, 5.1, 24, 25, 26, 9000)), "unit": "mIU/mL", "code": "m[IU]/mL"}
        status = {"text": self.one(("Pregnant", "Not pregnant", "Unknown", "Possibly pregnant"))}
        due = (AS_OF + timedelta(days=self.one((-30, -15, -14, -1, 0, 5, 100, 180, 266, 280, 300)))).date().isoformat()
        answers: Any = (
            ("82810-3", {"valueCodeableConcept": status}), ("11778-8", {"valueDateTime": due}),
            ("11884-4", {"valueQuantity": weeks}), ("18185-9", {"valueQuantity": weeks}),
            ("19080-1", {"valueQuantity": hcg}), ("2106-3", {"valueString": self.one(_WORDS)}),
            ("8665-2", {"valueDateTime": self.when()}), ("2118-8", {"valueString": self.one(_WORDS)}),
        )  # fmt: skip
        return self._answered(*self.one(answers))

    def _answered(self, code: str, value: Json) -> Json:
        if code == "72166-2":
            value = {"valueCodeableConcept": {"coding": [{"system": _SNOMED, "code": self.one(_SMOKING)}]}}
        return self.base("Observation", code={"coding": [{"system": _LOINC, "code": code}]}, **self._result(), **value)

    def gene(self) -> Json:
        """Return a gene's result in words."""
        words = self.one(_POOLS["genes"])
        gene, _, rest = words.partition(" ")
        return self.base("Observation", code={"text": gene}, valueString=rest or words, **self._result())

    def condition(self) -> Json:
        """Return a problem by a code of a group or by words, with any status."""
        _, system, code = self.one(_POOLS["conditions"])
        concept = {"coding": [{"system": system, "code": code}]}
        if self.one((0, 0, 1)):
            concept = {"text": self.one(_POOLS["problems"])}
        status = self.one(("active",) * 6 + ("resolved", "inactive", "remission", "recurrence", None))
        verified = self.one((None,) * 5 + ("confirmed", "unconfirmed", "provisional", "refuted", "entered-in-error"))
        return self.base(
            "Condition", code=concept,
            **self.maybe(1, clinicalStatus={"coding": [{"code": status}]} if status else None),
            **self.maybe(1, verificationStatus={"coding": [{"code": verified}]} if verified else None),
            **self.maybe(0.6, onsetDateTime=self.when()), **self.maybe(0.5, recordedDate=self.when()),
            **self.maybe(0.1, abatementDateTime=self.when()),
        )  # fmt: skip

    def medication(self) -> Json:
        """Return an order, a statement, a dispense or an administration of a drug with its instructions."""
        kind = self.one(("MedicationRequest",) * 4 + ("MedicationStatement", "MedicationDispense"))
        status = self.one(("active",) * 6 + ("completed", "stopped", "on-hold", "cancelled", "draft"))
        more: Json = {"medicationCodeableConcept": {"text": self.one(_POOLS["drugs"])}}
        sig = [{"text": self.one(_POOLS["sigs"])} | self.maybe(0.2, asNeededBoolean=True)]
        if kind == "MedicationRequest":
            more |= {"intent": self.one(("order",) * 5 + ("plan", "proposal")), "authoredOn": self.when()}
            more |= {"dosageInstruction": sig} | self.maybe(0.3, dispenseRequest=self._supply())
        elif kind == "MedicationStatement":
            more |= {"dosage": sig, **self.maybe(0.6, effectivePeriod=self.period())}
        else:
            status = self.one(("completed", "completed", "cancelled"))
            more |= {"dosageInstruction": sig, "whenHandedOver": self.when(),
                     "daysSupply": {"value": self.one((7, 14, 30, 90)), "unit": "days"}}  # fmt: skip
        return self.base(kind, status=status, **more)

    def _supply(self) -> Json:
        quantity = {"value": self.one((7, 30, 60, 90)), "unit": "tablet"}
        return (
            self.maybe(0.5, validityPeriod=self.period())
            | self.maybe(0.5, quantity=quantity)
            | self.maybe(0.5, numberOfRepeatsAllowed=self.one((0, 1, 3, 11)))
            | self.maybe(0.5, expectedSupplyDuration={"value": self.one((30, 90)), "unit": "d", "code": "d"})
        )

    def drafts(self) -> list[Json]:
        """Return one to four drafts: drugs with their instructions, in three of four, and studies."""
        return [{"resource": self._draft(number)} for number in range(self.one((1, 2, 3, 4)))]

    def _draft(self, number: int) -> Json:
        base = {"id": f"draft-{number}", "status": "draft", "intent": "order", "subject": {"reference": "Patient/p1"}}
        if self.one((1, 1, 1, 0)):
            sig = [{"text": self.one(_POOLS["sigs"])}]
            drug = {"text": self.one(_POOLS["drugs"])}
            return {"resourceType": "MedicationRequest", "medicationCodeableConcept": drug,
                    "dosageInstruction": sig, "authoredOn": "2026-11-20", **base,
                    **self.maybe(0.2, dispenseRequest=self._supply())}  # fmt: skip
        reason = [{"text": self.one(_POOLS["problems"])}]
        return {"resourceType": "ServiceRequest", "code": {"text": self.one(_POOLS["studies"] + list(_PROCEDURES))},
                **base, **self.maybe(0.5, reasonCode=reason), **self.maybe(0.3, occurrenceDateTime=self.when()),
                **self.maybe(0.1, priority="stat")}  # fmt: skip

    def allergy(self) -> Json:
        """Return an allergy by words, with or without what happened."""
        reaction = {"manifestation": [{"text": self.one(("rash", "anaphylaxis", "hives", "nausea", "swelling"))}]}
        reaction |= self.maybe(0.3, severity=self.one(("mild", "moderate", "severe")))
        status = self.one(("active", "active", "active", "inactive", "resolved", None))
        return self.base(
            "AllergyIntolerance", code={"text": self.one(_POOLS["allergies"])},
            **self.maybe(1, clinicalStatus={"coding": [{"code": status}]} if status else None),
            **self.maybe(0.1, verificationStatus={"coding": [{"code": self.one(("refuted", "unconfirmed"))}]}),
            **self.maybe(0.3, criticality=self.one(("low", "high", "unable-to-assess"))),
            **self.maybe(0.3, type=self.one(("allergy", "intolerance"))), **self.maybe(0.5, reaction=[reaction]),
        )  # fmt: skip

    def visit(self) -> Json:
        """Return a visit or a stay, open or over."""
        place = [{"location": {"display": self.one(("MICU", "Ward 4", "Emergency", "Clinic"))}}]
        gone = {"dischargeDisposition": {"text": self.one(("home", "hospice", "expired", "skilled nursing facility"))}}
        return self.base(
            "Encounter", status=self.one(("in-progress", "in-progress", "finished", "finished", "planned")),
            **{"class": {"code": self.one(("IMP", "IMP", "AMB", "EMER", "ACUTE", "OBSENC", "HH"))}},
            **self.maybe(0.95, period=self.one((self.period(), {"start": self.when()}))),
            **self.maybe(0.2, location=place), **self.maybe(0.2, hospitalization=gone),
        )  # fmt: skip

    def other(self) -> Json:
        """Return a procedure, a report, an order of a test, a dose of a vaccine or a device."""
        kind = self.one(
            ("Procedure", "Procedure", "DiagnosticReport", "ServiceRequest", "Immunization", "Immunization")
        )
        if kind == "Procedure":
            return self.base(kind, status=self.one(("completed",) * 6 + ("not-done", "in-progress", "preparation")),
                             code={"text": self.one(_PROCEDURES)}, **self.maybe(0.9, performedDateTime=self.when()),
                             **self.maybe(0.1, performedPeriod=self.period()))  # fmt: skip
        if kind == "DiagnosticReport":
            return self.base(kind, status=self.one(("final", "final", "preliminary", "cancelled")),
                             code={"text": self.one(_PROCEDURES)}, **self.maybe(0.4, conclusion=self.one(_WORDS)),
                             **self.maybe(0.9, effectiveDateTime=self.when()))  # fmt: skip
        if kind == "ServiceRequest":
            return self.base(kind, status=self.one(("active", "active", "completed", "revoked", "draft")),
                             intent=self.one(("order", "order", "plan")), authoredOn=self.when(),
                             code={"text": self.one(_POOLS["studies"] + list(_PROCEDURES))},
                             **self.maybe(0.1, doNotPerform=True))  # fmt: skip
        return self.base(kind, status=self.one(("completed",) * 7 + ("not-done", "entered-in-error")),
                         vaccineCode={"coding": [{"system": _CVX, "code": self.one(_VACCINES)}]},
                         **self.maybe(0.97, occurrenceDateTime=self.when()))  # fmt: skip


_CORE: Final = ("creatinine", "egfr", "body_weight", "body_height", "sbp", "dbp", "hba1c", "glucose", "potassium",
                "cholesterol_total", "hdl_cholesterol", "ldl_cholesterol", "alt", "ast", "platelets")  # fmt: skip
