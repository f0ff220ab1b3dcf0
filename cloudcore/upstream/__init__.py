"""From the nodes to the Kubernetes API: may they (`ownership`), how it is written (`patches`), and the writing."""
