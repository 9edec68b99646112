"""The nouns of the house and the promises of its stores: frozen data and pure rules, no I/O."""
