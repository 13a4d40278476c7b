"""The network in Keras: layers, towers, loss, position embeddings."""
