"""Partners' systems in automatic mode, each behind an adapter: what the conformance kit is run against."""
