"""The directory as a signed, expiring snapshot that a partner pins (The Update Framework, TUF 1.0)."""
