"""The keepers of the broker promise."""
