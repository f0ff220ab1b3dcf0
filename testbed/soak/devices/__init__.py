"""Numbers go in at every door of a node's devices while parts of it are cut and killed; all of them must come out.

Each producer knows for certain what was accepted of what it sent. `records` is what was promised and what was found,
`verdict` compares the two (pure), `site` is the machinery around a rig, `rounds` runs it. The doors:

- *twin*: numbers published on KubeEdge's ``twin/update``; accepted is what ``twin/update/result`` answered. Sent again
  unchanged until then. Its samples are also pushed over HTTP to `sink`.
- *plain*: numbers published by a device that speaks MQTT, QoS 1. Accepted is what the broker took; as a broker that is
  killed loses what it had taken, this one is silent in rounds in which that happens.
- *mapped*: numbers reported over DMI by a mapper in a process of its own; accepted is what was answered OK.
- *counter*: a Modbus register that only grows; what is read of it may skip numbers, never go back.
- *valve*: wishes made with kubectl for a Modbus register; some expire.
- *lever*: wishes made for another one on ``twin/update``, sent again unchanged until they are answered.
"""
