"""KubeEdge's MQTT topics for twins, states and memberships: applications beside us ask and hear through them."""
