"""How the networks are trained: label maps, synthetic CT, teacher, losses. Nothing here reads patients."""
