"""The desk's pages: rendered on this machine, in Chinese or English, and usable without script.

It listens on this machine alone unless told otherwise. A form is taken from the desk's own pages only; a session's
cookie is sent by no other site.
"""
