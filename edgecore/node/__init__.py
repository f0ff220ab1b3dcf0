"""What this machine is and how it does, told to the cloud: `facts` reads, `status` decides, `heartbeat` reports."""
