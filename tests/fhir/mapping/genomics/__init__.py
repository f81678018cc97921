"""Tests of fhir/mapping/genomics."""
