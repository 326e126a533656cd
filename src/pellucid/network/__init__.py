"""What a network is: nodes and shapes, flat vectors, and the Network itself."""
