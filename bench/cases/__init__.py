"""What is measured. Each case has a NAME, a `run` that finds figures, and a `section` that shows
them; what it found is plain data, so that a report can be written later.
"""
