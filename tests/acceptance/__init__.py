"""Tests with heavy or real neighbours, such as clusters and databases: `make acceptance`."""
