"""What is said: envelope, catalogue, flows, deadlines, receipts. Pure; `now` is always an argument."""
