"""What is taken out of the store for good, by law or by time: its content goes, its proofs stay (docs/retention.md).

The log's hashes, `message_key` and the places in mailboxes outlive a message, so receipts, proofs and the audit hold as
before; an `erased` entry says what is gone, since when, and why.
"""
