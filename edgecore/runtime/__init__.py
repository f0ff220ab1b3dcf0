"""The container runtime: a contract (`contract`), its errors, and CRI as its implementation (`cri`)."""
