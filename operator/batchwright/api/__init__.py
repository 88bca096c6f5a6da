"""The kinds of batchwright.io as frozen pydantic models: the one source of `crds/`."""
