"""The networks: definition, weights, training, evaluation and the interface an engine implements."""
