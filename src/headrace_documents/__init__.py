"""The flagship application: documents in, classified, summarised and explained answers out."""
