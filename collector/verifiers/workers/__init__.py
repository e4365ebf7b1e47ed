"""Verifying in processes of their own, which can be stopped at any moment: `pool` in the run, `worker` in the process,
and the jobs that a worker does, each one file that needs no other of the project."""
