"""What every adapter has in common: it stands between one hub and one partner, and runs until it is stopped.

Messages go down from the hub to the partner and come up from the partner to the hub; what was done is kept, so that a
crash loses nothing and doubles nothing (docs/decisions/0028-adapters.md). An adapter itself is a `Partner`.
"""
