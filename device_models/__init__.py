"""What a device is: models, twins and value conversion. Empty until devices arrive."""
