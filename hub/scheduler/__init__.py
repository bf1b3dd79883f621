"""What is due on dates, done by one process at a time: reminders, overdue marks, escalation, bulletins, calendars.

Every job can be run again at any time and does only what is not done yet, so that nothing is lost by a restart and an
outage is made up for in one run (docs/decisions/0025-scheduler.md).
"""
