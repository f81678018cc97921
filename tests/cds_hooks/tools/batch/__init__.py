"""Tests of scoring many charts."""
