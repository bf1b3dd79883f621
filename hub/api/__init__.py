"""The HTTP API, version 1: one file a resource, faults turned into problems in one place."""
