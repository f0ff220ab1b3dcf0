"""The demo: a cloud, an edge node with a container and devices, and every plug pulled once."""
