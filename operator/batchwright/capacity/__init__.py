"""Nodes for MANAGED environments: what to start and end (pure), and the providers that do it."""
