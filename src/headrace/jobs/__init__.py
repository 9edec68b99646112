"""The same question, answered later."""
