"""Private servers and clients for the tests, the demo and the benchmarks.

processes.py   child processes that cannot outlive us, and the clearing of what an interrupted run left behind
postgres.py    a private PostgreSQL          rabbitmq.py   a private RabbitMQ
servers.py     both, and a command line for running one by hand
program.py     the muskrat program: its configuration, its daemons, its exit codes
clients.py     what tests ask of the servers: SQL, queues, an independent observer of the exchange
"""
