"""What this hub counts due dates by: holiday arrangements and outages, entered in its log and carried out in its cases.

An entry says that something holds from here on; each case that it moves then gets an entry of its own, page by page,
so that intake never waits for a year's worth of cases (docs/decisions/0024-due-dates-that-move.md).
"""
