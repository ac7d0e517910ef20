"""What is done: a plan resolved to jobs, what a store lacks of them, and the work on it, here or on a cluster."""
