"""The places that keep the promise of `registry.place`."""
