"""The hooks that are answered and what the context of each holds (CDS Hooks library, versions current in 2.0.1)."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

PATIENT_VIEW = "patient-view"
ORDER_SELECT = "order-select"
ORDER_SIGN = "order-sign"


class Context(Struct, frozen=True, rename="camel"):
    """What every hook here carries: who looks at whom."""

    user_id: str
    patient_id: str
    encounter_id: str | None = None


class PatientViewContext(Context, frozen=True, rename="camel"):
    """patient-view 1.0."""


class OrderSelectContext(Context, frozen=True, rename="camel", kw_only=True):
    """order-select 1.0: `draftOrders` is kept as it came, so that a corrected draft can keep everything it carried."""

    selections: tuple[str, ...]
    draft_orders: Raw


class OrderSignContext(Context, frozen=True, rename="camel", kw_only=True):
    """order-sign 1.0."""

    draft_orders: Raw


CONTEXTS: dict[str, msgspec.json.Decoder[Any]] = {
    PATIENT_VIEW: msgspec.json.Decoder(PatientViewContext),
    ORDER_SELECT: msgspec.json.Decoder(OrderSelectContext),
    ORDER_SIGN: msgspec.json.Decoder(OrderSignContext),
}
