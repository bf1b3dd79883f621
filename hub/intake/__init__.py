"""The way of one message through a hub, a step a file, in this order:

decode ▶ known ▶ verify ▶ validate ─▶ batch ▶ authorise ▶ advance ▶ store ▶ (commit) ▶ prove
"""
