"""Attachments: sealed files beside the messages, taken in parts, kept in a store, read by whom a message gives them."""
