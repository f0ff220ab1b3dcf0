"""The native dialect: protobuf frames, inventory difference, windowed delivery, acknowledge after commit."""
