"""Server-side printing: the Table documents that ``kubectl get`` shows."""
