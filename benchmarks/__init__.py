"""How fast the hub is, beside a floor measured in the same run."""
