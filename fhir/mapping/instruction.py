"""One Dosage of an order: how much, how often and how long it says, in structure or in words."""

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.dose_amount import Amount, Milligrams, amount_of, limit_per_day, milligrams, rate_per_day, weighed
from fhir.mapping.medications import Identity
from fhir.mapping.schedule import CONTRADICTION, Schedule, read_timing
from fhir.mapping.sig import Sig, SigAmount, read_sig
from fhir.record.resources import Dosage


class Instruction(Struct, frozen=True, gc=False):
    """So much, so often.

    `parts` are several amounts of one day with their times, `said_days` is how long, both from the words; `limit` is
    the most a day and `infused` what runs in a day; `problem` says what cannot be used.
    """

    amount: Amount | None
    schedule: Schedule
    parts: tuple[tuple[Amount, float, float], ...] = ()
    said_days: float | None = None
    total_per_day: bool = False
    limit: tuple[Milligrams, ...] = ()
    infused: tuple[Milligrams, ...] = ()
    as_needed: bool = False
    from_text: bool = False
    problem: str | None = None


def read_dosage(dosage: Dosage, identity: Identity, weight_kg: float | None = None) -> Instruction:
    """What a Dosage says: its structure first, its words for what the structure leaves open."""
    return _weighed(_read(dosage, identity, weight_kg), weight_kg)


def _weighed(instruction: Instruction, weight_kg: float | None) -> Instruction:
    """With every amount for each kilogram as one for this patient."""
    if instruction.amount is not None:
        amount, problem = weighed(instruction.amount, weight_kg)
        return replace(instruction, amount=amount, problem=instruction.problem or problem)
    if any(amount.unit.by_weight for amount, _, _ in instruction.parts):
        return replace(instruction, parts=(), problem="several amounts for each kilogram")
    return instruction


def _read(dosage: Dosage, identity: Identity, weight_kg: float | None) -> Instruction:
    amount, problem = amount_of(dosage, identity)
    schedule = read_timing(dosage.timing) if dosage.timing is not None else Schedule()
    infused = rate_per_day(dosage, identity, weight_kg) if amount is None and problem is None else ()
    limit = dosage.maxDosePerPeriod
    instruction = Instruction(
        amount,
        schedule,
        limit=limit_per_day(limit, identity, weight_kg) if limit is not None else (),
        infused=infused,
        as_needed=bool(dosage.asNeededBoolean or dosage.asNeededCodeableConcept is not None) or schedule.as_needed,
        problem=problem or (None if infused else schedule.problem),
    )
    words = dosage.text or dosage.patientInstruction
    if not words or infused or problem or schedule.problem == CONTRADICTION:
        return instruction
    return _with_words(instruction, read_sig(words), dosage, identity, weight_kg)


def _with_words(
    known: Instruction, sig: Sig, dosage: Dosage, identity: Identity, weight_kg: float | None
) -> Instruction:
    """What the structure leaves open, from the words; a structured part is never overruled by them."""
    amount = known.amount or (_amount(sig.amount) if sig.amount is not None else None)
    schedule = known.schedule
    parts: tuple[tuple[Amount, float, float], ...] = ()
    complete = known.amount is not None and schedule.is_known
    if not schedule.is_known and (schedule.problem is None or sig.times_high is not None):
        days = 1.0 if sig.single else schedule.days
        schedule = Schedule(sig.times_low, sig.times_high, sig.single, days=days, on_days=sig.on_days)
        parts = tuple((_amount(one), low, high) for one, low, high in sig.parts) if known.amount is None else ()
    said_not_needed = dosage.asNeededBoolean is False
    return replace(
        known,
        amount=amount,
        schedule=schedule,
        parts=parts,
        said_days=sig.days,
        total_per_day=sig.total_per_day and known.amount is None,
        limit=known.limit or _limit(sig.maximum, identity, weight_kg),
        as_needed=known.as_needed or (sig.as_needed and not said_not_needed),
        from_text=not complete,
        problem=sig.problem if (amount is None and not parts) or not schedule.is_known else None,
    )


def _limit(said: SigAmount | None, identity: Identity, weight_kg: float | None) -> tuple[Milligrams, ...]:
    most = weighed(_amount(said), weight_kg)[0] if said is not None else None
    return milligrams(identity, most)[0] if most is not None else ()


def _amount(said: SigAmount) -> Amount:
    return Amount(said.low, said.high, said.unit)
