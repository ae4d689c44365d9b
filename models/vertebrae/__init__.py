"""Osteon's own vertebra network: synthesis of training data, targets, network, training, decoding."""
