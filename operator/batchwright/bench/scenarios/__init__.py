"""The scenarios, one module each, which gives its `Scenario` as SCENARIO. To add one, add a file."""
