"""`make prove`: what the rules are tried with at length, part after part, and a table of what came of it in docs/proof.md."""
