"""The HTML report: what was found in each document, with the evidence marked where it stands."""
