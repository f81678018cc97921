"""Reads model files of other libraries into the families that the compiler writes."""
