"""One module a target; `tests.fuzz.everything` lists them."""
