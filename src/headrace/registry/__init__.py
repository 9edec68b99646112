"""Which models there are, and how a file becomes one."""
