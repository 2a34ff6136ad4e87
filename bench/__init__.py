"""Measurements. Figures live here and in docs/, never as assertions on time in a test."""
