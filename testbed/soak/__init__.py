"""Random faults, round after round, while pods and config maps come, change and go; then everything must be right.

`world` is what was asked for, `chaos` plans a round, `verdict` compares, `rounds` runs them and prints.
"""
