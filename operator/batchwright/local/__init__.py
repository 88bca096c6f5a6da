"""The embedded cluster: a real Kubernetes control plane on a developer's machine, without Docker.

`cluster` is the entry (up, down, status); the other modules each own one part. Linux only: processes are found
through /proc. Nothing outside the per-user cache and state directories is written, and no port is bound beyond
loopback (with a real node: beyond the host's end of its private network).
"""
