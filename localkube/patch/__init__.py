"""The patch languages of the Kubernetes API, each a pure function from (object, patch) to a new object."""
