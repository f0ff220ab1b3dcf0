"""What each verb does with a resource: read, write, delete, watch, subresources, reviews."""
