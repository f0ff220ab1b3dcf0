"""What a cluster does by itself: namespaces, garbage, nodes, scheduling, old events."""
