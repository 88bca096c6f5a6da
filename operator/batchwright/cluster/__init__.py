"""Talking to the Kubernetes API server: the only package that knows how."""
