"""The controllers: gather what is seen, decide by the pure layers, act through `cluster`."""
