"""Tests with heavy or real neighbours, such as clusters, databases and large checkpoints: `make acceptance`."""
