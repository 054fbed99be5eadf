"""The networks, each made of an encoder and upsampling operators."""
