"""What `benchmarks/serving.py` is made of: one tiny model, the servers that serve it, and the load on them."""
