"""Whether a request may pass, and as what: pure, without I/O or a web framework.

`decision.Gate.decide` takes a request head and returns a decision; `admission.Admission` is the
one shell around it that waits for what the decision needs. No other code decides.
"""
