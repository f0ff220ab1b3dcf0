"""Devices: what the cloud wants of them, drivers that talk to them, twins that remember, reports that go up."""
