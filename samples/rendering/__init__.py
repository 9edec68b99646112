"""Turns the sample sources into office files: one module for each family of formats."""
