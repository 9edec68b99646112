"""How a text is made short: its paragraphs, its sentences, which of them matter, and what a language model may add."""
