"""CustomResourceDefinitions: what they may say, what they make the server serve, how their objects are checked."""
