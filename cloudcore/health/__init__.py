"""What operators and probes see of CloudCore: liveness, readiness, metrics."""
