"""The kinds a Kubernetes API has out of the box."""
