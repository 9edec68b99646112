"""HTTP: one routes file a noun."""
