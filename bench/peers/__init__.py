"""The programs under test: this gateway, and what people would run instead."""
