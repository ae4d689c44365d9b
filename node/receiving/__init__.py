"""C-STORE in: from the network to durable files."""
