"""Measurements: `python -m bench` for the gateway next to its peers, and `bench.redis_memory`.

Figures live here and in docs/, never as assertions on time in a test.
"""
