"""The networks: encoders and upsampling operators put together."""
