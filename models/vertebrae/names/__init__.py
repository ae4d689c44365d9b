"""From network outputs to named vertebrae: the chain over the levels and what anchors it."""
