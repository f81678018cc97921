"""Who may open the counts for Prometheus."""

from cds_hooks.access.roles import Role
from cds_hooks.pages.door import Door

DOOR = Door(
    "/metrics",
    frozenset({Role.OPERATOR}),
    token=True,
    refusal="/metrics is for the operator: ask at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer.",
)
