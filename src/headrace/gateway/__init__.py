"""HTTP: one routes file a noun; `route.py` says how to add one."""
