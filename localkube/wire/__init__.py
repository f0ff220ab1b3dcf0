"""The protobuf request bodies of typed clients; answers are always JSON, which these clients accept as well."""
