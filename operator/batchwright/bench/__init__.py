"""Benchmarks: what jobs cost, beside what Kubernetes alone takes for them, on embedded clusters made for the purpose.

Each scenario is one file in `scenarios`, found by being there. Invariants: every contender has a cluster of its own,
made the same way, submitted to by the same client and watched by the same one; figures come from the API server's audit
log and from /proc, never from what a contender says of itself (but for the operator's own passes).
"""
