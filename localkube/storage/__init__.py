"""Objects, their revisions and their history: ``store`` in memory, ``journal`` on disk."""
