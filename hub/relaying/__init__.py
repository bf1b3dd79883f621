"""Hub to hub (docs/decisions/0033-hub-to-hub.md): who is a neighbour, and what is carried between two.

`admitting` neighbours ▶ `learning` their organisations, marks and due dates ▶ `reading` what they hand over
▶ `copying` what a home did, `arriving` what is for a case of ours ▶ `forwarding` what our own send to another home.
Everything is proven by the log of the hub that it comes from; who brings it does not matter.
"""
