"""Corpora of recordings, one per module. Each module has a function that gets its clips and their table ready."""
