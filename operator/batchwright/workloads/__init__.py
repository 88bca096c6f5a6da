"""From a BatchJob and its definition's revision to Kubernetes objects: plain dicts, as they are sent. Pure."""
