"""The MQTT broker on this node, as everybody here uses it."""
