"""OPC UA as a client: safe connection, subscription, history, browsing. Loaded only where there is such a source, since
asyncua weighs some 40 MB; ``edge.sources.opcua`` is the door."""
