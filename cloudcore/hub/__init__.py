"""Where edges attach: one port, admission by certificate, sessions by node. Knows nothing of Kubernetes."""
