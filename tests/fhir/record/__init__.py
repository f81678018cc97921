"""Tests of the record: readers, time, measurements."""
