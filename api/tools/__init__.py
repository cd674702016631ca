"""Tools for agents over the Model Context Protocol: each is a few requests to the API with its caller's rights."""
