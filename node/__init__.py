"""What touches the network, waits, retries, or is looked at."""
