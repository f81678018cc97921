"""Tests of the compiler: parity, additivity, refusals."""
