"""The desk: a small web application that a bureau runs for itself, with its own keys, on its own machine.

It speaks to the hub by the public API alone. What it keeps is encrypted; what it shows is worked out from the schemas
and flows of the catalogue, so that a new protocol needs no new screen (docs/decisions/0026-desk.md).
"""
