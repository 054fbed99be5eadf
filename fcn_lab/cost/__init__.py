"""What a network costs: parameters, operations, bytes, seconds."""
