"""Everything that reads what came from outside, fed with generated and mutated input and judged by
a second, independent statement of its rule.

A target makes cases, which are bytes, and judges them. That nothing crashes is the least of it: a
refusal must be one of the documented errors, and what is accepted must be right by a rule that is
written down again here, without the code under test. `python -m tests.fuzz` is the long form.
"""
