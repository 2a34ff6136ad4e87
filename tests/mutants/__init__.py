"""How many small changes of the code the tests notice: `make mutants` (docs/adr/0024).

Each mutant is one change of one expression or statement in a module of `bff`; the suites that guard
the module run against it, and at least one test should fail.
"""
