"""The figures of this project, measured on real daemons: ``python -m testbed.bench [NAME ...]``.

Prints a table and writes ``build/bench.json``. `figures` lists them all; each module of figures says how it measures;
`stage` starts the daemons a figure asks for, once, and ends them all. `api` and `procfs` are what they look with.
"""
