"""Listens to what was decided; nothing waits on it."""
