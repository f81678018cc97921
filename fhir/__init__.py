"""A path shim and nothing else: the library `fhir.resources` owns this name too (docs/decisions/0001)."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
