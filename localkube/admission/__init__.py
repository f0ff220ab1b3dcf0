"""What happens to an object between the client and the store: defaults, mutations, validation, per kind."""
