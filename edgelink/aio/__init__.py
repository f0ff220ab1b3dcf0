"""Event-loop helpers that know nothing of this project's domain: clock, back-off, keyed workers, supervisor, logs."""
