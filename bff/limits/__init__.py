"""How often somebody may do something: rates, who counts as one, and the judgement."""
