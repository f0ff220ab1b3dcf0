"""Real parts for trying the project out on one machine; never shipped in the wheel.

The demo, the end-to-end tests, the benchmarks and the soak run stand on it: tiny container images built from local
files, a registry that serves them, private containerd nodes that can be started side by side, killed and cut off
power, and the helpers that run a daemon so that nothing outlives its test. It imports neither daemon of the project.
"""
