"""Pods on this node: look at the store and the runtime, plan, act, report. Containers outlive edgecore.

Read in this order: `spec` (what is wanted), `plan` (what to do next), `worker` (does it), `manager` (when).
"""
