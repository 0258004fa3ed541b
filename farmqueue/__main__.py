"""`python -m farmqueue` is `farmqueue`."""

from farmqueue.cli import main

main()
