"""The service and its batch jobs on a Ray cluster. Needs the extra `ray`."""
