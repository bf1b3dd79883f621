"""`python -m hub.commands` is `xieban`."""

from hub.commands import main

main()
