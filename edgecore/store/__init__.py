"""What survives: desired objects, reports to send, records of pods. One SQLite file, one small class per concern."""
