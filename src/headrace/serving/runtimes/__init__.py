"""Places where replicas live."""
