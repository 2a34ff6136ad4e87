"""How often a client or session may do something: rates, which addresses are one client, the
judgement."""
