"""How the networks are judged: references, strata, left-out judges. Nothing here reads patients."""
