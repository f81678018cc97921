"""Tests any CDS Hooks server from outside, and stands in for the clinical software that calls one."""
