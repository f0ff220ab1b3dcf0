"""OpenAPI documents, version 2 and 3, as far as kubectl reads them."""
