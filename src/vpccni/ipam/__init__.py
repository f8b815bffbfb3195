"""Decisions about addresses: pure, no I/O, no clock, no logging of its own (design, idea 1)."""
