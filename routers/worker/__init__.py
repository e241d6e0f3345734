"""Worker: jobs in a process each, so that none holds the API or outlives its deadline.

    client.py   the API's side: start a job, wait for its result, end it
    helper.py   a process that forks a process per job; started when it is needed
    jobs.py     the jobs, as functions; imported by the helper alone

A job that reaches its deadline, whose client disconnects or whose API ends is killed.
See docs/decisions/worker.md.
"""
