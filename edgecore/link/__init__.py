"""The way to the cloud: identity and enrolment, dialling, taking in what is wanted, draining what is reported."""
