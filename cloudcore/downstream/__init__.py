"""From the Kubernetes API to the nodes: who needs what, what each node should have, and how it gets there."""
