"""One reader a family of formats; all of them run in guarded worker processes."""
