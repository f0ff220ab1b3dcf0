"""What both ends of the channel must agree on: vocabulary, sessions without I/O, the pump that moves their bytes."""
