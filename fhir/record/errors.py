"""Errors of reading facts.

FactsError
└── WrongPatient    a resource is about somebody else: the call stops
"""


class FactsError(Exception):
    """Facts that cannot be used."""


class WrongPatient(FactsError):
    """A resource is about another patient than the one asked about; says which resource, never who."""

    def __init__(self, resource: str) -> None:
        super().__init__(
            f"{resource} is about another patient than context.patientId; nothing was computed. "
            "Send only this patient's resources in prefetch."
        )
        self.resource = resource
