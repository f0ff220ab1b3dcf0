"""Tells the machine's service manager and its operators how the daemon is, on localhost."""
