"""Deterministic, named, recorded repairs made before any model call."""
