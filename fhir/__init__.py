"""Facts; shares its name with the library `fhir.resources`, so it is a path shim and nothing else (docs/decisions/0001)."""
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
