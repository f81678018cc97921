"""The cards of the services, whole, as texts that a clinician can review: one for each kind of patient who gets one.

    python -m tests.cds_hooks.services.pinned            # lists the services whose cards were not reviewed
    python -m tests.cds_hooks.services.pinned --write    # you confirm them; review the difference before you commit

The charts are the samples of the contract kit and the invented ones below. Rules have their own pinned cards
(tests/cards/rules/pinned.py), so the checks of orders are not asked here.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.services import find_services
from tests.cds_hooks.calls import client, request_for
from tests.cds_hooks.services.chart_cases import (
    AS_OF,
    as_call,
    dose,
    drug,
    operation,
    patient,
    problem,
    request,
    result,
    stay,
)
from tests.conftest import ROOT

Json = dict[str, Any]
FOLDER: Final = ROOT / "tests" / "cases" / "services"
_OF_ORDERS: Final = frozenset({"order-safety", "order-safety-dispatch", "coverage-requirements"})

_AF = problem("Atrial fibrillation", "I48.91")
_HIGH = problem("Hypertension", "I10")
_DIABETES = problem("Type 2 diabetes", "E11.9")
_FATTY = problem("Fatty liver", "K76.0")


def _cholesterol(ldl: float, total: float, hdl: float) -> list[Json]:
    pairs = (("13457-7", ldl), ("2093-3", total), ("2085-9", hdl))
    return [result(code, value, "mg/dL") for code, value in pairs]


def _pressure(systolic: float) -> Json:
    return {**result("8480-6", systolic, "mm[Hg]"), "category": [{"coding": [{"code": "vital-signs"}]}]}


def _liver(ast: float, alt: float, platelets: float) -> list[Json]:
    return [result("1920-8", ast, "U/L"), result("1742-6", alt, "U/L"), result("777-3", platelets, "10*3/uL")]


def _kidney(egfr: float, albumin: float | None = None) -> list[Json]:
    values = [result("98979-8", egfr, "mL/min/{1.73_m2}", when) for when in ("2026-05-02", "2026-11-02")]
    return values + ([result("9318-7", albumin, "mg/g")] if albumin is not None else [])


CHARTS: Final[dict[str, dict[str, list[Json]]]] = {
    "anticoagulation-discussion": {"a woman of 79 with three factors": [patient(79, "female"), _AF, _HIGH, _DIABETES],
                                   "a man of 66 with one factor": [patient(66, "male"), _AF],
                                   "a man of 40 without any": [patient(40, "male"), _AF],
                                   "after a stroke, with aspirin": [patient(70, "male"), _AF,
                                       problem("Ischaemic stroke", "I63.9"), drug("Aspirin 81 mg daily", "243670")],
                                   "after a bleeding": [patient(80, "female"), _AF, _HIGH,
                                                        problem("Gastrointestinal haemorrhage", "K92.2")],
                                   "with a mechanical valve": [patient(60, "male"), _AF,
                                       problem("Mechanical aortic valve"), _HIGH]},
    "statin-discussion": {"diabetes at 52": [patient(52, "male"), _DIABETES, *_cholesterol(120, 200, 40),
                                             _pressure(138)],
                          "an LDL of 205": [patient(45, "female"), *_cholesterol(205, 290, 50), _pressure(120)],
                          "high blood pressure at 66": [patient(66, "male"), _HIGH, *_cholesterol(150, 240, 38),
                                                        _pressure(158)],
                          "diabetes at 52 without a cholesterol": [patient(52, "male"), _DIABETES, _pressure(138)]},
    "nephrology-referral": {"an eGFR of 24": [patient(60, "male"), *_kidney(24, 40)],
                            "an albumin of 620 mg/g": [patient(50, "female"), *_kidney(55, 620)],
                            "an eGFR of 52 without albumin": [patient(58, "female"), _DIABETES, *_kidney(52)],
                            "an eGFR of 34 with albumin of 90": [patient(71, "male"), *_kidney(34, 90)]},
    "liver-assessment": {"an index over 2.67": [patient(62, "male"), _FATTY, *_liver(90, 45, 120)],
                         "an index between": [patient(52, "female"), _FATTY, *_liver(45, 40, 210)],
                         "over 65": [patient(70, "female"), _DIABETES, problem("Obesity", "E66.9"),
                                     *_liver(44, 30, 190)]},
    "vaccines-due": {"67 years, nothing on record": [patient(67, "male"), dose("140", "2025-10-10")],
                     "4 years": [patient(4, "female"),
                                 *(dose("20", day) for day in ("2022-12-15", "2023-02-15", "2023-04-15", "2024-01-20")),
                                 *(dose("10", day) for day in ("2022-12-15", "2023-02-15", "2023-04-15")),
                                 dose("03", "2023-11-01"), dose("21", "2023-11-01")],
                     "pregnant": [patient(29, "female"), problem("Pregnancy", "Z34.83", "2026-05-01"),
                                  dose("115", "2020-01-01")],
                     "without a spleen": [patient(40, "male"), problem("Asplenia", "Q89.01"),
                                          operation("Splenectomy")]},
    "preventive-services": {"a woman of 52": [patient(52, "female"), _pressure(124)],
                            "a man of 67 who smoked": [patient(67, "male"), problem("Former smoker", "Z87.891"),
                                                       _pressure(128)], "a woman of 24": [patient(24, "female")],
                            "a man of 47 with obesity": [patient(47, "male"), problem("Obesity", "E66.9"),
                                                         _pressure(132)]},
    "medication-review": {"82 years with seven drugs": [patient(82, "female"), _HIGH, problem("Dementia", "F03.90"),
                                                        problem("Fall", "W19.XXXA", "2026-09-01"),
                                                        drug("Diphenhydramine 50 mg at bedtime", "1049630"),
                                                        drug("Zolpidem 10 mg at bedtime", "854873"),
                                                        drug("Amlodipine 10 mg daily", "308135"),
                                                        drug("Ibuprofen 600 mg three times a day", "197806"),
                                                        drug("Omeprazole 40 mg daily", "200329", "2024-01-10"),
                                                        drug("Furosemide 20 mg daily", "310429"),
                                                        drug("Glyburide 5 mg daily", "310537"), *_kidney(38)]},
    "discharge-follow-up": {"heart failure after three visits": [patient(76, "male"), problem("Heart failure", "I50.9"),
        problem("COPD", "J44.9"), _DIABETES, {**stay("2026-11-14T08:00:00Z"), "id": "stay"},
        stay("2026-09-01T08:00:00Z", "2026-09-06T08:00:00Z"), stay("2026-07-01T08:00:00Z", "2026-07-05T08:00:00Z"),
        result("718-7", 9.8, "g/dL", "2026-11-21"), result("2951-2", 131, "mmol/L", "2026-11-21"),
        operation("Coronary angiography", "2026-11-15"),
        request("Cardiology follow-up", "2026-01-01", status="completed")]},
}  # fmt: skip


def texts() -> dict[str, str]:
    """Return the text of each service that has cards for these charts."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_texts(Path(folder)))


async def _texts(folder: Path) -> dict[str, str]:
    services = sorted(find_services().keys() - _OF_ORDERS)
    return {service: text for service in services if (text := await _text(folder, service))}


async def _text(folder: Path, service: str) -> str:
    """The cards of one service, each patient opened for the first time."""
    parts = []
    (folder / service).mkdir()
    async with client(folder / service, as_of=AS_OF) as calls:
        for name, body in _bodies(service):
            reply = await calls.post(f"/cds-services/{service}", json=body)
            assert reply.status_code == 200, (service, name, reply.text)
            lines = [line for card in reply.json()["cards"] for line in _lines(card)]
            parts += ["\n".join([f"## {name}\n", *lines])] if lines else []
    return "\n".join([f"# {service}\n", *parts]) if parts else ""


def _bodies(service: str) -> Iterator[tuple[str, Json]]:
    hook = find_services()[service].hooks[0]
    for sample in list_samples():
        with suppress(ChartError):  # a discharge needs a stay
            yield f"sample {sample.id}", request_for(service, hook, sample.id, AS_OF)
    for number, (name, chart) in enumerate(CHARTS.get(service, {}).items()):
        yield name, as_call(service, hook, number, chart)


def _lines(card: Json) -> Iterator[str]:
    source = card["source"]
    yield f"{card['indicator']}: {card['summary']}"
    yield from (card.get("detail") or "").splitlines()
    yield f"Source: {source['label']} {source.get('url', '')}".rstrip()
    for offer in card.get("suggestions", []):
        yield f"{'* ' if offer.get('isRecommended') else '- '}{offer['label']}"
        for action in offer.get("actions", []):
            code = (action.get("resource") or {}).get("code", {})
            codings = ", ".join(coding.get("code", "") for coding in code.get("coding", []))
            yield f"    {action['type']}: {action['description']} {codings}".rstrip()
    reasons = [reason["code"] for reason in card.get("overrideReasons", [])]
    if reasons:
        yield f"Override reasons: {', '.join(reasons)}"
    yield ""


def main(write: bool) -> int:
    """Lists the services whose cards differ from the reviewed ones, or writes them."""
    FOLDER.mkdir(exist_ok=True)
    reviewed = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.txt")}
    current = texts()
    differ = [name for name, text in current.items() if reviewed.get(name) != text]
    if write:
        for name in differ:
            (FOLDER / f"{name}.txt").write_text(current[name], encoding="utf-8")
    print("\n".join(differ) or "The cards are those that were reviewed.")
    return 0 if write or not differ else 1


if __name__ == "__main__":
    raise SystemExit(main("--write" in sys.argv))
