"""The server: intake, mailbox, cases, log, organisations, HTTP."""

from importlib.metadata import version

__version__ = version("xieban")
