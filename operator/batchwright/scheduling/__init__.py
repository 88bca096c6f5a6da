"""Which job gets which capacity when: pure functions over a snapshot."""
