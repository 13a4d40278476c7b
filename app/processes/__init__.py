"""A service of several processes: front ends that serve HTTP, one process that computes, and their supervisor."""
