"""How a release earns its traffic."""
