"""The command line: `batchwright`, and `kubectl batchwright` as a plugin of kubectl.

A thin front end: it reads and writes Kubernetes objects and holds no state.

Invariants: modules of this package import only light things at module level (no kubernetes, kopf, boto3 or aiohttp),
because `--help` and shell completion run them all; what needs a cluster is imported by the function that needs it. What
is shown is made by pure functions of objects and a clock reading; commands gather, call them, and print.
"""
