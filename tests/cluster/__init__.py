"""A hub of several nodes: PostgreSQL with a synchronous standby, nodes of one hub, a proxy before them."""
