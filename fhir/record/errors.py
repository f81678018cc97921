"""Errors of reading facts.

FactsError
└── WrongPatient    a resource is about somebody else: the call stops
"""


class FactsError(Exception):
    """Facts that cannot be used."""


class WrongPatient(FactsError):
    """A resource is about another patient than the one asked about; `resource` says which, the message never who.

    The message goes back to whoever called, and an id may be anything: it says of which kind the resource is.
    """

    def __init__(self, resource: str) -> None:
        kind = resource.partition("/")[0]
        super().__init__(
            f"One {kind if kind.isalpha() else 'resource'} is about another patient than context.patientId; nothing "
            "was computed. Send only this patient's resources in prefetch."
        )
        self.resource = resource
