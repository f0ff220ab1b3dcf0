"""Entry point of the process that `testbed.swarm.fleet` is."""

import sys

from testbed.swarm.fleet import main

sys.exit(main())
