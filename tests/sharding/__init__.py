"""Everything that keeps the hub within the rules of a Citus cluster, and a cluster where one is given."""
