"""Reads from a FHIR server: one resource or a search with all its pages, within a deadline and bounds."""

from fhir.client.client import FetchResult, FhirClient
from fhir.client.errors import FetchError
from fhir.client.query import FetchLimits, Query, Read, Search

__all__ = ["FetchError", "FetchLimits", "FetchResult", "FhirClient", "Query", "Read", "Search"]
