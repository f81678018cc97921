"""Names what can go wrong in the language.

CqlError            an evaluation cannot go on: the language says so
├── LimitExceeded   one of the limits of an evaluation was reached
└── UnknownData     the value is based on data that could not be read
NotSupported        an ELM node, or a form of it, that this interpreter does not run; found when a library is compiled
"""


class CqlError(Exception):
    """An evaluation ended as the language asks, for example with a value that is out of range."""


class LimitExceeded(CqlError):
    """An evaluation reached a limit of steps, time, size, depth or digits."""


class UnknownData(CqlError):
    """The value needs resources of a type whose prefetch key is not known; unknown is not the same as empty."""

    def __init__(self, resource_type: str) -> None:
        super().__init__(f"The {resource_type} resources of this patient are not known.")
        self.resource_type = resource_type


class NotSupported(Exception):
    """A library holds something that this interpreter does not run."""
