"""Sweeps on a Ray cluster that others run, through its jobs API: submit, follow, and ask from far away.

jobs        the client of the jobs API: start, follow, end
packing     what travels with a job: the specification, its data if small, code of one's own
submitting  a sweep as a job
asking      a command answered by the cluster's head, its output and its files brought here
head        what a job runs on the head
frames      lines that carry output, files and exit codes through the log of a job
"""
