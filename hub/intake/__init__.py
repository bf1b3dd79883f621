"""The way of one message through a hub, a step a file, in this order:

decode ▶ known ▶ verify ▶ validate ─▶ batch ▶ authorise ▶ advance ▶ store ▶ (commit) ▶ prove

`ledger` is what a batch is about to write; `service.Hub.take` calls the steps before the batch.
"""
