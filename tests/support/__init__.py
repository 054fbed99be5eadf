"""What tests share: tiny data, pretended runs and networks, command lines."""
