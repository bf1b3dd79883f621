"""The ways a partner connects; each reaches a hub by its public API only."""
