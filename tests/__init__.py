"""The tests: statements about behaviour, against the real thing."""
