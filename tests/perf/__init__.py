"""Benchmarks: what a job costs, beside what Kubernetes alone takes for it."""
