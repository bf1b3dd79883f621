"""Fuzzing: bytes from outside, of every kind, thrown at whatever reads them."""
