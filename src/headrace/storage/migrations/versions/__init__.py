"""The migrations, one a module, each after the one that it names."""
