"""What AWS Batch means, as pure functions and frozen records: no clock, no I/O, no randomness."""
