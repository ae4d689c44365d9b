"""How the second opinion is trained. Nothing here reads patients."""
