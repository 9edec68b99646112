"""How a text is classified: its words, its token vectors, the linear head over them, and why."""
