"""The Python SDK: one organisation speaking to one hub by its public API, with keys that never leave it."""

from adapters.client.client import Client, Item, Page, Sent, Undecided

__all__ = ["Client", "Item", "Page", "Sent", "Undecided"]
