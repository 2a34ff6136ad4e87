"""Sessions: their cookie, their sealed records, the stores that keep them, the cache in front."""
