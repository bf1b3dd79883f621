"""The console: what supervisors see of their subtree, in a browser, rendered on the server."""
