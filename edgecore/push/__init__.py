"""Hands stored samples to where their properties' ``pushMethod`` says: store-and-forward, in order, at least once."""
