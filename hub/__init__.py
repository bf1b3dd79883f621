"""The server: intake, mailbox, cases, log, organisations, HTTP."""
